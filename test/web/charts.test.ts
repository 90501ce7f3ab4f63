/** Axes, captions and curves as text: what a reader of a chart relies on. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { chart, smoothed } from '#api/web/chart.ts'
import { brief, duration, probability, signed } from '#api/web/format.ts'
import { label, place, scale } from '#api/web/ticks.ts'

test('axes end on round numbers around the data', () => {
  const labels = (low: number, high: number, count = 4) => {
    const axis = scale(low, high, count)
    assert.ok(axis.low <= low && axis.high >= high)
    return axis.ticks.map((tick) => label(tick, axis))
  }
  assert.deepEqual(labels(1.33, 2.27, 5), ['1.2', '1.4', '1.6', '1.8', '2.0', '2.2', '2.4'])
  assert.deepEqual(labels(-0.004, 0.026), ['−0.01', '0', '0.01', '0.02', '0.03'])
  assert.deepEqual(labels(0, 8e-6), ['0', '2e−6', '4e−6', '6e−6', '8e−6'])
  assert.deepEqual(labels(0, 300), ['0', '100', '200', '300'])
})

test('an axis of one value, or of rounding noise, has room around it', () => {
  for (const [low, high] of [
    [0, 0],
    [0.7, 0.7],
    [-3, -3],
    [1, 1 + 2 ** -52],
  ] as const) {
    const axis = scale(low, high, 4)
    assert.ok(axis.low < low && axis.high > high && axis.ticks.length > 2 && axis.ticks.length < 10)
    assert.match(place(axis, low), /^\d+\.\d\d%$/)
  }
})

test('differences carry a true minus, and no sign where they round to nothing', () => {
  assert.deepEqual([0.0174, -0.004, 0.0004, -0.0004].map(signed), [
    '+0.017',
    '−0.004',
    '0.000',
    '0.000',
  ])
  assert.deepEqual([2.1344, 52.13, 1234.5, 8e-6, -7.64e-6, 0, -0.25].map(brief), [
    '2.134',
    '52.1',
    '1235',
    '8e−6',
    '−7.6e−6',
    '0',
    '−0.250',
  ])
  assert.deepEqual([0.0209, 0.0004].map(probability), ['0.021', '< 0.001'])
  assert.deepEqual([47.6, 725, 12_010].map(duration), ['48 s', '12 min 5 s', '3 h 20 min'])
})

test('smoothing starts at the first value and keeps a constant', () => {
  const constant = Array.from({ length: 100 }, (_, step) => ({ step, value: 0.7 }))
  for (const { value } of smoothed(constant)) assert.ok(Math.abs(value - 0.7) < 1e-12)
  const ramp = constant.map(({ step }) => ({ step, value: step }))
  assert.equal(smoothed(ramp)[0]!.value, 0)
  // An exponential average that keeps 0.8 lags a ramp by 0.8 / 0.2 steps.
  assert.ok(Math.abs(smoothed(ramp).at(-1)!.value - (99 - 4)) < 1e-6)
})

test('a curve of one point is a dot, noise is smoothed, a schedule is drawn as it is', async () => {
  const draw = async (values: number[], held: number[] = []) => {
    const points = (list: number[]) => list.map((value, step) => ({ step, value }))
    return String(
      await chart({
        name: 'loss',
        train: points(values),
        held: points(held),
        steps: values.length,
      }),
    )
  }
  assert.match(await draw([1.5]), /class="dots train"/)
  const noisy = await draw(Array.from({ length: 50 }, (_, i) => (i % 2) + i / 50))
  assert.ok(noisy.includes('class="raw"') && noisy.includes('class="line"'))
  assert.doesNotMatch(await draw(Array.from({ length: 50 }, (_, i) => i)), /class="raw"/)
  assert.match(await draw([], [2, 1]), /class="held".*class="dots"/s)
  assert.match(
    await draw([2, 1], [3]),
    /aria-label="loss: training from 2\.000 at step 0 to 1\.000 at step 1; held out from 3\.000/,
  )
})

test('a benchmark has points of its own name, and a line at what it began with', async () => {
  const held = [0, 5, 10].map((step) => ({ step, value: 0.25 + step / 100 }))
  const reference = { name: 'base', value: 0.25 }
  const drawn = String(
    await chart({ name: 'acc', train: [], held, heldOn: 'first 20', reference, steps: 10 }),
  )
  assert.match(
    drawn,
    /aria-label="acc: first 20 from 0\.250 at step 0 to 0\.350 at step 10; base 0\.250"/,
  )
  assert.match(drawn, /class="reference" d="M0\.0,(\d+\.\d)H1000"/)
})
