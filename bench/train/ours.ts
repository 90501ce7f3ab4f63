/**
 * Our side: the trainer that jobs run, one optimizer step per line of standard input. First line out: { at }, when the first run
 * of the step's graph was about to be posted; then one line per step. Argument: a Setting and perhaps a profile's path, as JSON.
 */
import { createInterface } from 'node:readline'
import { openRows } from '#gpu-runtime/data/rows.ts'
import { inNf4, openCheckpoint } from '#gpu-runtime/models/checkpoint.ts'
import { Engine, type Session } from '#gpu-runtime/onnx/engine.ts'
import { openText } from '#gpu-runtime/text/text.ts'
import { Pairs } from '#gpu-runtime/training/pairs.ts'
import { train } from '#gpu-runtime/training/train.ts'
import { trainSpec, type Setting } from './workload.ts'

/** A step as a side reports it. */
export type Step = { readonly step: number; readonly seconds: number; readonly loss: number }

const setting = JSON.parse(process.argv[2]!) as Setting & { profile: string | null }
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`)

/** Wait for a line; the end of the input is the end of the process. */
async function asked(): Promise<void> {
  if ((await lines.next()).done === true) process.exit(0)
}

/** Opens when a step is asked for and closes at its end, the optimizer's: the next step's first run, given at once, waits. */
class Gate {
  #open = Promise.withResolvers<void>()

  get opened(): Promise<void> {
    return this.#open.promise
  }

  open(): void {
    since = performance.now()
    this.#open.resolve()
  }

  close(): void {
    this.#open = Promise.withResolvers()
  }
}

const gate = new Gate()
let begun = false
/** An engine that computes only while a step is asked for, so that a step's time is all of its work, and starting none of it. */
class Waiting extends Engine {
  override async open(...graph: Parameters<Engine['open']>): Promise<Session> {
    const session = await super.open(...graph)
    return {
      ...session,
      run: async (feeds, options) => {
        if (!begun) {
          begun = true
          say({ at: Date.now() / 1000 })
          await asked()
          gate.open()
        }
        await gate.opened
        return await session.run(feeds, options)
      },
    }
  }

  override apply: Engine['apply'] = (...step) => {
    gate.close()
    return super.apply(...step)
  }
}

const spec = trainSpec(setting)
const [stored, text] = await Promise.all([openCheckpoint(setting.model), openText(setting.model)])
const checkpoint =
  spec.quantization === 'NONE'
    ? stored
    : await inNf4(stored, { revision: spec.model.revision, cache: setting.model })
const engine = new Waiting(setting.threads, undefined, setting.profile)
const rows = await openRows(setting.dataset)
const pairs = new Pairs(rows, text, spec.recipe)
const signal = new AbortController().signal
let since = 0
for await (const event of train({ spec, checkpoint, pairs, engine, resume: null, signal })) {
  if (event.type !== 'metrics') continue
  const seconds = (performance.now() - since) / 1000
  say({ step: event.step, seconds, loss: event.values.loss! } satisfies Step)
  await asked()
  gate.open()
}
await engine.close()
say({ closed: true })
