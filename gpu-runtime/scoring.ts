/** The evaluations of a job: every order is prepared before anything is computed, then scored task by task. */
import type { EvaluationOrder, Subject } from '#schema/protocol.ts'
import { sourceKey } from '#schema/sources.ts'
import type { ScoreDtype } from '#schema/spec.ts'
import { tasks } from '#schema/tasks.ts'
import type { Adapter, Bench } from './workbench.ts'
import { rowsDiffer } from './data/canonicalRows.ts'
import { expectPinned, inFile } from './data/pinned.ts'
import type { Contamination } from './contamination.ts'
import { FormatError } from './error.ts'
import { prepareTask, type Prepared } from './evaluation/prepare.ts'
import { respond } from './evaluation/respond.ts'
import { documentsOf, evaluate, type Shard } from './evaluation/run.ts'
import { openGenerator } from './inference/generate.ts'
import { openScorer } from './inference/score.ts'
import type { Checkpoint } from './models/checkpoint.ts'
import type { ComputeType } from './onnx/emit.ts'
import { stream } from './random.ts'
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

/**
 * Read the rows of every order and make its requests; subjects of one task share them. Rows that are not those of the task's own
 * source are scored all the same, with a warning.
 */
export async function prepareAll(
  orders: readonly EvaluationOrder[],
  bench: Bench,
): Promise<PreparedOrder[]> {
  const { report, signal, checkpoint } = bench
  const { maxPositions } = checkpoint.config
  const texts = textsFor(bench)
  const prepare = async ({ settings, rows, examples }: EvaluationOrder, text: Text) => {
    await expectPinned(rows, settings.rowsSha256)
    if (examples !== null) await expectPinned(examples, settings.examplesSha256!)
    const prepared = await inFile(rows, () =>
      prepareTask(settings, { rows, examples }, { text, maxPositions }, signal),
    )
    const source = sourceKey(tasks.get(settings.task)?.rows ?? '')
    const difference = source === null ? null : await rowsDiffer(source, rows)
    if (difference !== null) report.event('log', { level: 'warn', message: difference })
    return prepared
  }
  const done = new Map<string, Prepared>()
  const prepared: PreparedOrder[] = []
  for (const order of orders) {
    const text = texts[order.subject]
    const same = `${JSON.stringify(order.settings)} ${text === texts.BASE}`
    const task = done.get(same) ?? (await prepare(order, text))
    done.set(same, task)
    prepared.push({ ...order, task })
  }
  return prepared
}

/** What the arithmetic of scores is done in; what NF4 adds is the checkpoint's matter. */
export const scoreTypes: { readonly [D in ScoreDtype]: ComputeType } = {
  FLOAT32: 'float32',
  BFLOAT16: 'bfloat16',
  FLOAT16: 'float16',
  NF4: 'float32',
  NF4_BFLOAT16: 'bfloat16',
  NF4_FLOAT16: 'float16',
}

/** An order that has begun, and the places in its task's documents that nobody has scored yet. */
type OpenOrder = PreparedOrder & { readonly unknown: ReadonlySet<number> }

/** Documents of one task that the same subjects are still to be asked, side by side. */
type Lanes = { readonly orders: readonly OpenOrder[]; readonly wanted: ReadonlySet<number> }

/** What one scorer serves, one lane after the other: the same subjects, on one checkpoint. */
type Sitting = {
  readonly checkpoint: Checkpoint
  readonly subjects: readonly Subject[]
  readonly compute: ComputeType
  readonly greedy: boolean
  readonly lanes: Lanes[]
}

function sittings(
  orders: readonly OpenOrder[],
  checkpoints: Readonly<Record<Subject, Checkpoint>>,
): Sitting[] {
  const oneCheckpoint = checkpoints.ADAPTER === checkpoints.BASE
  const tasks = [...new Set(orders.map(({ task }) => task))]
  const together = Map.groupBy(
    orders,
    ({ task, subject }) => `${tasks.indexOf(task)} ${oneCheckpoint ? '' : subject}`,
  )
  const found = new Map<string, Sitting>()
  for (const lanes of [...together.values()].flatMap(lanesOf)) {
    const { settings, task } = lanes.orders[0]!.task
    const subjects = lanes.orders.map(({ subject }) => subject)
    const compute = scoreTypes[settings.dtype]
    const greedy = 'greedy' in task
    const key = JSON.stringify([subjects, compute, greedy])
    const checkpoint = checkpoints[subjects[0]!]
    const sitting = found.get(key) ?? { checkpoint, subjects, compute, greedy, lanes: [] }
    sitting.lanes.push(lanes)
    found.set(key, sitting)
  }
  return [...found.values()]
}

/** What is known of one subject need not be of the other: documents by who lacks them. */
function lanesOf(orders: readonly OpenOrder[]): Lanes[] {
  const documents = new Set(orders.flatMap(({ unknown }) => [...unknown]))
  const lacking = (d: number) => orders.filter(({ unknown }) => unknown.has(d))
  return [
    ...Map.groupBy(documents, (d) =>
      lacking(d)
        .map(({ key }) => key)
        .join(),
    ).values(),
  ].map((wanted) => ({ orders: lacking(wanted[0]!), wanted: new Set(wanted) }))
}

/** Subjects of a sequential task are asked the same documents, also those that are known of one of them only. */
function sideBySide(orders: readonly OpenOrder[]): OpenOrder[] {
  return orders.map((order) => {
    if (order.sequential !== true || order.unknown.size === 0) return order
    const beside = orders.filter(({ sequential, task }) => sequential && task === order.task)
    return { ...order, unknown: new Set(beside.flatMap(({ unknown }) => [...unknown])) }
  })
}

/** Documents to score at once, by their places, and by their numbers all that were drawn with them, known or not; null where nobody looks. */
type Part = { readonly wanted: ReadonlySet<number>; readonly drawn: readonly number[] | null }

/**
 * Of a sequential task 40 parts, but none below 16 documents, drawn at random by its settings alone: neither the order of rows nor
 * the plan's, which sorts by length and common beginnings, may say which documents a verdict sees first.
 */
function partsOf({ orders, wanted }: Lanes): Part[] {
  const { task, sequential, settings } = orders[0]!
  if (sequential !== true) return [{ wanted, drawn: null }]
  const { documents } = task
  const places = [...stream(0, `sequential ${JSON.stringify(settings)}`).shuffle(documents.length)]
  const size = Math.min(500, Math.max(16, Math.ceil(documents.length / 40)))
  return Array.from({ length: Math.ceil(places.length / size) }, (_, i) => {
    const part = places.slice(i * size, (i + 1) * size)
    return {
      wanted: new Set(part.filter((place) => wanted.has(place))),
      drawn: part.map((place) => documents[place]!.index),
    }
  })
}

/** Documents that the api is asked about at once. */
const question = 5000

/** Begin orders and learn what of them is left to do. */
async function openAll(
  orders: readonly PreparedOrder[],
  sharesOf: (task: Prepared) => readonly number[],
  { report, client }: Bench,
): Promise<OpenOrder[]> {
  for (const { key, task } of orders) {
    const { promptHash, documents } = task
    report.event('evaluation', { key, promptHash, documents: documents.length })
  }
  await report.flush()
  const open: OpenOrder[] = []
  for (const order of orders) {
    const { documents } = order.task
    const share = sharesOf(order.task)
    const known = new Set<number>()
    for (let i = 0; i < share.length; i += question) {
      const asked = share.slice(i, i + question).map((d) => documents[d]!)
      const answer = await client.known({
        key: order.key,
        documents: asked.map(({ index, content }) => ({ document: index, content })),
      })
      for (const document of answer.known) known.add(document)
    }
    const unknown = new Set(share.filter((d) => !known.has(documents[d]!.index)))
    open.push({ ...order, unknown })
  }
  return open
}

/**
 * Score what is not known of every order, of a shard's documents; one scorer is open at a time. The
 * number of documents that now have scores, or null: interrupted.
 */
export async function scoreAll(
  prepared: readonly PreparedOrder[],
  { tokenBudget, shard }: { readonly tokenBudget: number; readonly shard: Shard },
  adapter: Adapter | null,
  contamination: Contamination | null,
  bench: Bench,
): Promise<number | null> {
  if (prepared.length === 0) return 0
  const { report, signal, checkpoint, engine } = bench
  report.event('phase', { phase: 'EVALUATE' })
  const shares = new Map(
    prepared.map(({ task }) => [task, documentsOf(task, tokenBudget, shard)] as const),
  )
  const orders = sideBySide(await openAll(prepared, (task) => shares.get(task)!, bench))
  let total = orders.reduce((n, { task }) => n + shares.get(task)!.length, 0)
  const waiting = new Map(orders.map(({ key, unknown }) => [key, unknown.size]))
  const known = total - [...waiting.values()].reduce((n, left) => n + left, 0)
  if (known > 0)
    report.event('log', { level: 'info', message: `${known} of ${total} documents are known` })
  let [done, tokens] = [known, 0]
  const begin = performance.now()
  const progress = () => {
    const seconds = (performance.now() - begin) / 1000
    report.event('progress', {
      phase: 'EVALUATE',
      done,
      total,
      unit: 'documents',
      tokensPerSecond: tokens / seconds,
      etaSeconds: done === known ? null : ((total - done) * seconds) / (done - known),
    })
  }
  const scored = ({ key, subject, task }: OpenOrder, documents: number) => {
    done += documents
    waiting.set(key, waiting.get(key)! - documents)
    if (waiting.get(key)! > 0) return
    const found = subject === 'ADAPTER' ? contamination?.get(task) : undefined
    for (let i = 0; found !== undefined && i <= found.length; i += 500)
      report.event('contamination', { key, documents: found.slice(i, i + 500) })
    report.event('evaluated', { key, documents: task.documents.length })
  }
  const stop = ({ key, task }: OpenOrder) => {
    const left = waiting.get(key)!
    total -= left
    waiting.set(key, 0)
    report.event('evaluated', { key, documents: task.documents.length - left, stopped: true })
    const message = `${key}: enough is known after ${task.documents.length - left} of ${task.documents.length} documents`
    report.event('log', { level: 'info', message })
  }
  for (const order of orders) if (order.unknown.size === 0) scored(order, 0)
  const checkpoints = { BASE: checkpoint, ADAPTER: adapter?.checkpoint ?? checkpoint }
  const written = orders.filter(({ task }) => task.task.kind === 'generate_until')
  const chosen = orders.filter((order) => !written.includes(order))
  for (const sitting of sittings(chosen, checkpoints)) {
    const subjects = sitting.subjects.map((subject) => (subject === 'ADAPTER' ? adapter : null))
    const scorer = await openScorer(engine, sitting.checkpoint, subjects, sitting)
    for (const lanes of sitting.lanes) {
      const { task } = lanes.orders[0]!
      for (const { wanted, drawn } of partsOf(lanes)) {
        for await (const batch of evaluate(task, scorer, tokenBudget, signal, shard, wanted)) {
          tokens += batch.tokens * lanes.orders.length
          batch.samples.forEach((samples, lane) => {
            const order = lanes.orders[lane]!
            for (let i = 0; i < samples.length; i += 500)
              report.event('samples', { key: order.key, samples: samples.slice(i, i + 500) })
            if (samples.length > 0) scored(order, samples.length)
          })
          if (done > 0) progress()
        }
        if (signal.aborted) break
        if (drawn === null || !lanes.orders.some(({ key }) => waiting.get(key)! > 0)) continue
        for (const { key, subject } of lanes.orders)
          if (subject === 'ADAPTER') report.event('look', { key, documents: [...drawn] })
        await report.flush()
        const ended = lanes.orders.filter(({ key }) => report.enough.has(key))
        ended.forEach(stop)
        if (ended.length === lanes.orders.length) break
      }
      if (signal.aborted && [...waiting.values()].some((left) => left > 0)) return null
    }
    await scorer.release()
  }
  const texts = textsFor(bench)
  const { eosId = null } = bench.chatMl?.text ?? {}
  for (const sitting of writings(written)) {
    const { subject, compute } = sitting
    const tuned = subject === 'ADAPTER' ? adapter : null
    const stopIds = tuned !== null && eosId !== null ? [eosId] : []
    const generator = await openGenerator(engine, checkpoints[subject], tuned, { compute })
    for (const order of sitting.orders) {
      const asked = { signal, stopIds, wanted: order.unknown }
      for await (const one of respond(order.task, generator, texts[subject], asked)) {
        tokens += one.tokens
        report.event('samples', { key: order.key, samples: [one.sample] })
        scored(order, 1)
        progress()
      }
      if (waiting.get(order.key)! > 0 && signal.aborted) return null
    }
    await generator.release()
  }
  return done
}

/** What one generator serves, one order after the other. */
type Writing = {
  readonly subject: Subject
  readonly compute: ComputeType
  readonly orders: OpenOrder[]
}

function writings(orders: readonly OpenOrder[]): Writing[] {
  const found = new Map<string, Writing>()
  for (const order of orders) {
    if (order.unknown.size === 0) continue
    const { subject, task } = order
    const compute = scoreTypes[task.settings.dtype]
    const key = `${subject} ${compute}`
    const writing = found.get(key) ?? { subject, compute, orders: [] }
    writing.orders.push(order)
    found.set(key, writing)
  }
  return [...found.values()]
}
