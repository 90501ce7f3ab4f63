/** Boards of suites: who has every task of one, asked in the same way, by its average. */
import type { EvaluationSettings } from '#schema/spec.ts'
import { membersOf, suites, type SuiteEntry } from '#schema/suites.ts'
import { canonical } from '../canonical.ts'
import type { Board, Standing } from './standings.ts'
import { suiteResult, type SuiteResult, type TaskScore } from './suiteResult.ts'
import { asksAs, bosOf } from './suiteScores.ts'

export type SuiteStanding = Pick<Standing, 'baseModel' | 'adapter' | 'runId'> & {
  readonly result: SuiteResult
}

export type SuiteBoard = {
  readonly suite: string
  readonly title: string
  /** Of its first task; the others were asked alike. */
  readonly settings: EvaluationSettings
  /** Best first. */
  readonly rows: readonly SuiteStanding[]
}

/**
 * Made of the tasks' boards, so rows are comparable task by task. A suite has a board for each way in which all of its tasks were
 * asked; where a task has several boards of that way, the one of most rows counts.
 */
export function suiteBoards(boards: readonly Board[]): SuiteBoard[] {
  return [...suites].flatMap(([name, suite]) => {
    const members = new Map(membersOf(suite).map((member) => [member.task, member]))
    const fitting = boards.filter(({ task, settings: { dialect, bos } }) => {
      const member = members.get(task)
      return member !== undefined && member.dialect === dialect && bosOf(member) === bos
    })
    const ways = Map.groupBy(fitting, ({ settings }) => wayOf(settings))
    return [...ways.values()].flatMap((found) => boardOf(name, suite, found))
  })
}

const wayOf = ({
  limit,
  fewShot,
  fewShotSeed,
  chatTemplate,
  fewShotAsMultiturn,
  systemInstruction,
  dtype,
}: EvaluationSettings): string =>
  canonical({
    limit,
    fewShot,
    fewShotSeed,
    chatTemplate,
    fewShotAsMultiturn,
    systemInstruction,
    dtype,
  })

function boardOf(name: string, suite: SuiteEntry, boards: readonly Board[]): SuiteBoard[] {
  const most = new Map<string, Board>()
  for (const board of boards) {
    const before = most.get(board.task)
    if (before === undefined || before.rows.length < board.rows.length) most.set(board.task, board)
  }
  const members = membersOf(suite)
  if (members.some(({ task }) => !most.has(task))) return []
  const settings = new Map([...most].map(([task, board]) => [task, board.settings]))
  if (!asksAs(suite, settings)) return []
  const [first] = members
  const rows = most.get(first!.task)!.rows.flatMap((subject) => {
    const scores = scoresOf(subject, most)
    if (scores.size < most.size) return []
    const { baseModel, adapter, runId } = subject
    return [{ baseModel, adapter, runId, result: suiteResult(name, scores) }]
  })
  const value = ({ result }: SuiteStanding) => result.score?.mean ?? -Infinity
  rows.sort((a, b) => value(b) - value(a))
  if (rows.length === 0) return []
  return [{ suite: name, title: suite.title, settings: settings.get(first!.task)!, rows }]
}

function scoresOf(
  { baseModel, adapter }: Standing,
  boards: ReadonlyMap<string, Board>,
): Map<string, TaskScore[]> {
  const scores = new Map<string, TaskScore[]>()
  for (const [task, { metric, settings, rows }] of boards) {
    const own = rows.find(
      (row) => row.baseModel.id === baseModel.id && row.adapter?.id === adapter?.id,
    )
    if (own === undefined) continue
    const { n, value: mean, standardError } = own
    scores.set(task, [{ task, version: settings.version, metric, n, mean, standardError }])
  }
  return scores
}
