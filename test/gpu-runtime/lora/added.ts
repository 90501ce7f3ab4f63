/**
 * Adapters with rows of added tokens, the same for the tests and for PEFT: seeded, far from their start. As a program it writes
 * them for test/golden/addedTokens.py, each with the pairs and ids that both compute with:
 *
 *     node test/gpu-runtime/lora/added.ts OUT
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { initialAdapter } from '#gpu-runtime/lora/addedRows.ts'
import { saveAdapter } from '#gpu-runtime/lora/peft.ts'
import { withAddedTokens } from '#gpu-runtime/models/addedTokens.ts'
import { openCheckpoint, type Checkpoint } from '#gpu-runtime/models/checkpoint.ts'
import { stream } from '#gpu-runtime/random.ts'
import { openChatMl } from '#gpu-runtime/text/chatMl.ts'
import type { LoraSpec } from '#schema/spec.ts'
import { absent, loraOf, modelOf, readJson, type CaseName } from '../golden.ts'

/** Untied in float32; tied in bfloat16, in shards; with spare rows, which are dropped; with its tokenizer, by ChatML. */
export const addedCases = {
  untied: { model: 'tiny', spare: 0 },
  tied: { model: 'tiny-llama3', spare: 0 },
  spare: { model: 'tiny', spare: 5 },
  stories: { model: 'stories260K', spare: 0 },
} as const satisfies Record<string, { model: CaseName; spare: number }>
export type AddedCase = keyof typeof addedCases

type Ids = { prompt: number[]; chosen: number[]; rejected: number[] }

export type Made = {
  readonly model: string
  readonly checkpoint: Checkpoint
  readonly spec: LoraSpec
  readonly flat: Float32Array<ArrayBuffer>
  readonly ids: readonly number[]
  readonly pairs: readonly Ids[]
}

const seed = 606

export async function made(name: AddedCase): Promise<Made> {
  const { model, spare } = addedCases[name]
  const golden = readJson(model)
  const base = await openCheckpoint(modelOf(model))
  const vocabulary = base.config.vocabulary - spare
  const checkpoint = withAddedTokens(base, { vocabulary, addedTokens: 2 })
  const spec = loraOf(golden)
  const flat = await initialAdapter(checkpoint, spec, seed)
  const noise = stream(seed, name)
  const known = (ids: readonly number[]) => ids.map((id) => id % vocabulary)
  const [start, end] = [vocabulary, vocabulary + 1]
  return {
    model: modelOf(model),
    checkpoint,
    spec,
    flat: flat.map((x, i) => x + 0.1 * noise.normal(i)),
    ids: [start, ...known(golden.ids), end, start],
    pairs: golden.pairs.slice(0, 2).map(({ prompt, chosen, rejected }) => ({
      prompt: [start, ...known(prompt), end, start],
      chosen: [...known(chosen), end],
      rejected: [end, ...known(rejected), start, end], // the prompt's last position predicts an added token, too
    })),
  }
}

if (import.meta.main) {
  const out = process.argv[2]
  if (out === undefined) throw new Error('usage: added.ts OUT')
  for (const name of Object.keys(addedCases) as AddedCase[]) {
    if (absent(addedCases[name].model)) throw new Error(String(absent(addedCases[name].model)))
    const { model, checkpoint, spec, flat, ids, pairs } = await made(name)
    const directory = join(out, name)
    await mkdir(directory, { recursive: true })
    await saveAdapter(directory, checkpoint, spec, flat, model)
    if (name === 'stories') await (await openChatMl(model)).save(directory)
    const { vocabulary, addedTokens } = checkpoint.config
    const inputs = { model, rows: vocabulary + addedTokens, addedTokens, ids, pairs }
    await writeFile(join(directory, 'inputs.json'), JSON.stringify(inputs))
  }
}
