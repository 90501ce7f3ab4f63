/**
 * Writes the inputs of the real-model test for test/golden/real.py:
 *
 *     node test/realModel/dump.ts MODEL OUT     → OUT/pairs.json, OUT/adapter and OUT/probe in PEFT's layout
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { saveAdapter } from '#gpu-runtime/lora/peft.ts'
import { openCheckpoint } from '#gpu-runtime/models/checkpoint.ts'
import { loraSpec, probe, realPairs, seededAdapter } from './inputs.ts'

const [model, out] = process.argv.slice(2)
if (model === undefined || out === undefined) throw new Error('usage: dump.ts MODEL OUT')

const checkpoint = await openCheckpoint(model)
const adapter = seededAdapter(checkpoint.config)
for (const [name, flat] of Object.entries({ adapter, probe: probe(adapter.length) })) {
  await mkdir(join(out, name), { recursive: true })
  await saveAdapter(join(out, name), checkpoint, loraSpec, flat, 'SmolLM2-135M-Instruct')
}
await writeFile(join(out, 'pairs.json'), JSON.stringify(await realPairs(model)))
