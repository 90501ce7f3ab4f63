/** A runtime's post is untrusted: it is read by the protocol's schema, and held to what the tables can store. */
import { EventBatch, type RunEvent } from '#schema/protocol.ts'
import { InvalidInput } from '../problem.ts'

const largest = 2 ** 31 - 1
const label = /^[\w./:@-]{1,100}$/

/** InvalidInput with the place of everything that is wrong. */
export function parseBatch(text: string): EventBatch {
  let json: unknown
  try {
    json = JSON.parse(text, (_, value: unknown) =>
      typeof value === 'string' ? storable(value) : value,
    )
  } catch (cause) {
    throw new InvalidInput([{ path: [], message: `expected JSON: ${(cause as Error).message}` }])
  }
  const parsed = EventBatch.safeParse(json)
  if (!parsed.success) {
    throw new InvalidInput(
      parsed.error.issues
        .slice(0, 20)
        .map(({ path, message }) => ({ path: path.map(String), message })),
    )
  }
  const issues = parsed.data.events.flatMap((event, i) =>
    excesses(event).map((message) => ({ path: ['events', String(i)], message })),
  )
  if (issues.length > 0) throw new InvalidInput(issues.slice(0, 20))
  return parsed.data
}

/** Postgres keeps no NUL and no half of a surrogate pair. */
const storable = (text: string): string => text.toWellFormed().replaceAll('\0', '\ufffd')

function excesses(event: RunEvent): string[] {
  const found: string[] = []
  const whole = (name: string, value: number | null, low = 0) => {
    if (value !== null && (value < low || value > largest))
      found.push(`${name}: expected ${low} to ${largest}, got ${value}`)
  }
  const names = (record: Readonly<Record<string, unknown>>, most: number) => {
    const keys = Object.keys(record)
    if (keys.length > most) found.push(`expected at most ${most} names, got ${keys.length}`)
    const wrong = keys.find((key) => !label.test(key))
    if (wrong !== undefined)
      found.push(
        `expected names of letters, digits and ./:@_-, got ${JSON.stringify(wrong.slice(0, 100))}`,
      )
  }
  const text = (name: string, value: string, most: number) => {
    if (value.length > most)
      found.push(`${name}: expected at most ${most} characters, got ${value.length}`)
  }
  const { type, body } = event
  if (type === 'started') {
    text('runtime', body.runtime, 200)
    text('device', body.device, 200)
    whole('resumedFromStep', body.resumedFromStep)
  } else if (type === 'metrics') {
    whole('step', body.step)
    names(body.values, 200)
  } else if (type === 'checkpoint') whole('step', body.step)
  else if (type === 'adapter') {
    text('sha256', body.sha256, 64)
    if (body.artifacts.length > 100)
      found.push(`artifacts: expected at most 100, got ${body.artifacts.length}`)
  } else if (type === 'evaluation' || type === 'evaluated') {
    text('key', body.key, 200)
    whole('documents', body.documents)
    if (type === 'evaluation') text('promptHash', body.promptHash, 64)
  } else if (type === 'samples') {
    text('key', body.key, 200)
    for (const sample of body.samples) {
      whole('document', sample.document)
      whole('gold', sample.gold)
      whole('picked', sample.picked)
      text('hash', sample.hash, 64)
      names(sample.scores, 50)
      names(sample.weights ?? {}, 50)
      if (Math.max(sample.choices.length, sample.answers.length) > 200)
        found.push('expected at most 200 choices')
    }
  } else if (type === 'finished') names(body.summary, 200)
  else if (type === 'progress') text('unit', body.unit, 100)
  return found
}
