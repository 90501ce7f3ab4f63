/** What test/golden/suites.py wrote. */
import { readFileSync } from 'node:fs'
import type { TaskDialect } from '#schema/tasks.ts'

type SuitesGolden = {
  /** By subject. */
  readonly mmlu: Readonly<Record<string, readonly [zeroShot: string, fiveShot: string]>>
  /** By what follows bigbench_ in a task's name. */
  readonly bigBench: Readonly<
    Record<string, { documents: number; requests: string; grade: number; gradeWithEquals: number }>
  >
  /** By task, of its first documents. */
  readonly logLikelihoods: Readonly<
    Record<string, { dialect: TaskDialect; fewShot: number; values: number[][] }>
  >
}

export const suites = JSON.parse(
  readFileSync(new URL('../../golden/suites.json', import.meta.url), 'utf8'),
) as SuitesGolden
