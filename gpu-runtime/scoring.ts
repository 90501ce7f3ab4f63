/** The evaluations of a job: every order is prepared before anything is computed, then scored task by task. */
import type { EvaluationOrder, Subject } from '#schema/protocol.ts'
import type { ScoreDtype } from '#schema/spec.ts'
import type { Adapter, Bench } from './workbench.ts'
import { expectPinned, inFile } from './data/pinned.ts'
import { FormatError } from './error.ts'
import { prepareTask, type Prepared } from './evaluation/prepare.ts'
import { evaluate } from './evaluation/run.ts'
import { openScorer } from './inference/score.ts'
import type { Checkpoint } from './models/checkpoint.ts'
import type { ComputeType } from './onnx/emit.ts'
import type { Text } from './text/text.ts'

export type PreparedOrder = EvaluationOrder & { readonly task: Prepared }

/**
 * What each subject is asked in. Plain text is the same tokens for both; what a template writes is ChatML for the adapter of a
 * model without one, and cannot be asked of the model itself, which lacks the tokens.
 */
function textsFor({ checkpoint, text, chatMl }: Bench): Record<Subject, Text> {
  if (chatMl === null) return { BASE: text, ADAPTER: text }
  const { encode, decode, hasTemplate, render } = chatMl.text
  const refuse = () => {
    throw new FormatError(
      `${checkpoint.directory}: no chat template, neither in tokenizer_config.json nor in chat_template.jinja: this task can be asked of an adapter, which is trained in ChatML, not of the model itself`,
    )
  }
  return {
    BASE: { ...text, render: refuse },
    ADAPTER: { ...text, encode, decode, hasTemplate, render },
  }
}

/** Read the rows of every order and make its requests; subjects of one task share them. */
export async function prepareAll(
  orders: readonly EvaluationOrder[],
  bench: Bench,
): Promise<PreparedOrder[]> {
  const { signal, checkpoint } = bench
  const { maxPositions } = checkpoint.config
  const texts = textsFor(bench)
  const prepare = async ({ settings, rows, examples }: EvaluationOrder, text: Text) => {
    await expectPinned(rows, settings.rowsSha256)
    if (examples !== null) await expectPinned(examples, settings.examplesSha256!)
    return await inFile(rows, () =>
      prepareTask(settings, { rows, examples }, { text, maxPositions }, signal),
    )
  }
  const tasks = new Map<string, Prepared>()
  const prepared: PreparedOrder[] = []
  for (const order of orders) {
    const text = texts[order.subject]
    const same = `${JSON.stringify(order.settings)} ${text === texts.BASE}`
    const task = tasks.get(same) ?? (await prepare(order, text))
    tasks.set(same, task)
    prepared.push({ ...order, task })
  }
  return prepared
}

/** What the arithmetic of scores is done in; what NF4 adds is the checkpoint's matter. */
const scoreTypes: { readonly [D in ScoreDtype]: ComputeType } = {
  FLOAT32: 'float32',
  BFLOAT16: 'bfloat16',
  FLOAT16: 'float16',
  NF4: 'float32',
  NF4_BFLOAT16: 'bfloat16',
  NF4_FLOAT16: 'float16',
}

/** Orders of one task whose subjects are asked the same, so that they are scored side by side. */
type Lanes = readonly PreparedOrder[]

/** What one scorer serves, one lane after the other: the same subjects, on one checkpoint. */
type Sitting = {
  readonly checkpoint: Checkpoint
  readonly subjects: readonly Subject[]
  readonly compute: ComputeType
  readonly greedy: boolean
  readonly lanes: Lanes[]
}

function sittings(
  orders: readonly PreparedOrder[],
  checkpoints: Readonly<Record<Subject, Checkpoint>>,
): Sitting[] {
  const oneCheckpoint = checkpoints.ADAPTER === checkpoints.BASE
  const tasks = [...new Set(orders.map(({ task }) => task))]
  const lanes = Map.groupBy(
    orders,
    ({ task, subject }) => `${tasks.indexOf(task)} ${oneCheckpoint ? '' : subject}`,
  )
  const found = new Map<string, Sitting>()
  for (const lane of lanes.values()) {
    const { settings, task } = lane[0]!.task
    const subjects = lane.map(({ subject }) => subject)
    const compute = scoreTypes[settings.dtype]
    const greedy = 'greedy' in task
    const key = JSON.stringify([subjects, compute, greedy])
    const checkpoint = checkpoints[subjects[0]!]
    const sitting = found.get(key) ?? { checkpoint, subjects, compute, greedy, lanes: [] }
    sitting.lanes.push(lane)
    found.set(key, sitting)
  }
  return [...found.values()]
}

/** Score every order; one scorer is open at a time. The number of documents scored, or null: interrupted. */
export async function scoreAll(
  orders: readonly PreparedOrder[],
  tokenBudget: number,
  adapter: Adapter | null,
  { report, signal, checkpoint, engine }: Bench,
): Promise<number | null> {
  if (orders.length === 0) return 0
  report.event('phase', { phase: 'EVALUATE' })
  const total = orders.reduce((n, o) => n + o.task.documents.length, 0)
  let [done, tokens] = [0, 0]
  const begin = performance.now()
  const progress = () => {
    const seconds = (performance.now() - begin) / 1000
    report.event('progress', {
      phase: 'EVALUATE',
      done,
      total,
      unit: 'documents',
      tokensPerSecond: tokens / seconds,
      etaSeconds: ((total - done) * seconds) / done,
    })
  }
  const checkpoints = { BASE: checkpoint, ADAPTER: adapter?.checkpoint ?? checkpoint }
  for (const sitting of sittings(orders, checkpoints)) {
    const subjects = sitting.subjects.map((subject) => (subject === 'ADAPTER' ? adapter : null))
    const scorer = await openScorer(engine, sitting.checkpoint, subjects, sitting)
    for (const lanes of sitting.lanes) {
      const { task } = lanes[0]!
      const { promptHash, documents } = task
      for (const { key } of lanes)
        report.event('evaluation', { key, promptHash, documents: documents.length })
      let scored = 0
      for await (const batch of evaluate(task, scorer, tokenBudget, signal)) {
        batch.samples.forEach((samples, lane) => {
          for (let i = 0; i < samples.length; i += 500)
            report.event('samples', { key: lanes[lane]!.key, samples: samples.slice(i, i + 500) })
          done += samples.length
        })
        scored += batch.samples[0]!.length
        tokens += batch.tokens * lanes.length
        if (done > 0) progress()
      }
      if (scored < documents.length) return null
      for (const { key } of lanes) report.event('evaluated', { key, documents: scored })
    }
    await scorer.release()
  }
  return done
}
