/** The doctor's page on a machine without a card, and on machines that are imagined broken. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { examine } from '#gpu-runtime/doctor/examine.ts'
import { page, type Finding } from '#gpu-runtime/doctor/report.ts'

const without = { problem: 'no nvidia-smi: no NVIDIA driver is installed', missing: true } as const
const onCpu = await examine(without, false)
const find = (findings: readonly Finding[], what: string) => findings.find((f) => f.what === what)!

test('on a CPU every node runs in float32 and the step is that of float64; nothing of a card is claimed', () => {
  assert.deepEqual(
    onCpu.map(({ what, state }) => [what, what === 'speed' ? '' : state]),
    [
      ['driver', 'untested'],
      ['provider', 'untested'],
      ['step on the CPU', 'ok'],
      ['transfers', 'untested'],
      ['speed', ''],
    ],
  )
  const [, loss, gradient] = /loss (\S+), gradient (\S+) /.exec(
    find(onCpu, 'step on the CPU').found,
  )!
  assert.ok(Number(loss) < 1e-5 && Number(gradient) < 1e-5, `${loss}, ${gradient}`)
  assert.match(
    find(onCpu, 'speed').found,
    /^products [\d.]+ GFLOP\/s; a step of \d+ tokens \d+ ms, \d+% of that$/,
  )
})

test('the page has a line for each finding, and what is wrong with what to do', () => {
  const findings: Finding[] = [
    { what: 'driver', state: 'ok', found: 'Tesla T4' },
    { what: 'provider', state: 'wrong', found: 'absent', advice: 'fetch it' },
    { what: 'transfers', state: 'untested', found: 'a CPU needs none' },
  ]
  assert.equal(
    page(findings),
    [
      'driver     ok     Tesla T4',
      'provider   WRONG  absent',
      'transfers  –      a CPU needs none',
      '',
      '1 thing is wrong:',
      '  provider: fetch it',
      'Not tested here: transfers.',
    ].join('\n'),
  )
})

test('a driver that does not answer and a card without a provider are wrong', async () => {
  const broken = await examine(
    { problem: "NVIDIA-SMI has failed because it couldn't communicate" },
    false,
  )
  assert.equal(find(broken, 'driver').state, 'wrong')
  const bare = await examine({ output: 'Tesla T4, 7.5, 15360 MiB\n' }, false)
  assert.equal(find(bare, 'driver').found, 'Tesla T4, 15.0 GiB, compute capability 7.5')
  assert.equal(find(bare, 'provider').state, 'wrong')
  assert.match(page(bare), /provider: put libonnxruntime_providers_cuda\.so/)
})
