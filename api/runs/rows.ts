/** Where a task's rows are on this machine. */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fileNames, sourceKey, sources } from '#schema/sources.ts'
import type { Config } from '../env.ts'
import { InvalidInput } from '../problem.ts'

/**
 * The file under the benchmark roots that holds the rows of the file `name`. Where that is one of a source's ("arc_easy.test.jsonl"),
 * its other names are looked for too; the first root that has one wins. InvalidInput at `at` where none has.
 */
export async function findRows(
  config: Pick<Config, 'benchmarkRoots'>,
  name: string,
  at: readonly string[],
): Promise<string> {
  const key = sourceKey(name)
  const names = key === null ? [name] : [...new Set([name, ...fileNames(sources.get(key)!)])]
  for (const root of config.benchmarkRoots)
    for (const file of names) {
      const found = await stat(join(root, file)).catch(() => null)
      if (found?.isFile() === true) return join(root, file)
    }
  const message = `expected ${names[0]} in ${config.benchmarkRoots.join(' or ')}; give its path as ${at.at(-1)}, or set ODDSMITH_BENCHMARKS`
  throw new InvalidInput([{ path: at, message }])
}
