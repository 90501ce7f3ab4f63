/** Answers of nvidia-smi in the forms that NVIDIA documents; the last two are its words for a missing driver and an old one. */
import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { after } from 'node:test'
import { askDriver, cardOf, computeOf, parseCards, placementOf } from '#gpu-runtime/device.ts'

const GiB = 2 ** 30

for (const [answer, memory, compute] of [
  ['Tesla T4, 7.5, 15360 MiB\n', 15 * GiB, 'float16'],
  ['Tesla V100-SXM2-16GB, 7.0, 16384 MiB\n', 16 * GiB, 'float16'],
  ['NVIDIA A100-SXM4-40GB, 8.0, 40960 MiB\n', 40 * GiB, 'bfloat16'],
  ['NVIDIA GeForce RTX 4070, 8.9, 12288 MiB\n', 12 * GiB, 'bfloat16'],
  ['NVIDIA B200, 10.0, 183296 MiB\n', 179 * GiB, 'bfloat16'],
] as const)
  test(`${answer.split(',')[0]} computes in ${compute}`, () => {
    const [card] = parseCards(answer)
    assert.equal(card!.memory, memory)
    assert.deepEqual(placementOf(card!, 'AUTO'), { device: 'cuda', compute })
    assert.deepEqual(placementOf(card!, 'FLOAT32'), { device: 'cuda', compute: 'float32' })
  })

test('of several cards the first is taken, and each is read', () => {
  const cards = parseCards('NVIDIA H100 80GB HBM3, 9.0, 81559 MiB\nTesla T4, 7.5, 15360 MiB\n')
  assert.deepEqual(
    cards.map((card) => [card.name, computeOf(card)]),
    [
      ['NVIDIA H100 80GB HBM3', 'bfloat16'],
      ['Tesla T4', 'float16'],
    ],
  )
})

test('without a card everything is float32, and nothing else is taken', () => {
  assert.deepEqual(placementOf(null, 'AUTO'), { device: 'cpu', compute: 'float32' })
  assert.throws(() => placementOf(null, 'BFLOAT16'), /BFLOAT16: expected AUTO or FLOAT32/)
})

test('an answer that is no card says what was expected and got', () => {
  assert.throws(
    () => parseCards('Field "compute_cap" is not a valid field to query.\n'),
    /expected "name, compute capability, memory in MiB", got "Field "compute_cap"/,
  )
})

const folder = mkdtempSync(join(tmpdir(), 'oddsmith-smi-'))
after(() => rmSync(folder, { recursive: true }))

test('a driver that cannot be reached is a problem in its own words, and so is none', async () => {
  const failing = join(folder, 'nvidia-smi')
  const words = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."
  writeFileSync(failing, `#!/bin/sh\necho "${words}"\nexit 9\n`)
  chmodSync(failing, 0o755)
  assert.deepEqual(await askDriver(failing), { problem: words })
  const absent = await askDriver(join(folder, 'absent'))
  assert.match('problem' in absent ? absent.problem : '', /no NVIDIA driver is installed/)
})

test('a machine without a driver has nothing to say; one whose card cannot be used says why it computes on its CPU', async () => {
  const absent = await askDriver(join(folder, 'absent'))
  assert.deepEqual(cardOf(absent, true), { card: null, problem: null })
  const t4 = { output: 'Tesla T4, 7.5, 15360 MiB\n' }
  assert.equal(cardOf(t4, true).card?.name, 'Tesla T4')
  for (const [answer, provider, problem] of [
    [t4, false, /Tesla T4 lies idle: onnxruntime's CUDA provider is not installed/],
    [{ problem: 'NVIDIA-SMI has failed' }, true, /^NVIDIA-SMI has failed$/],
    [{ output: 'NVIDIA GB10, 12.1, [N/A]\n' }, true, /got "NVIDIA GB10, 12.1, \[N\/A\]"/],
    [{ output: '\n' }, true, /names no card/],
  ] as const) {
    const found = cardOf(answer, provider)
    assert.equal(found.card, null)
    assert.match('problem' in found ? (found.problem ?? '') : '', problem)
  }
})
