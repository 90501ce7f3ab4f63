/** The examination: each step says what it found; what cannot be tested on this machine says so. */
import { existsSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import {
  askDriver,
  parseCards,
  placementOf,
  providerPath,
  type Card,
  type DriverAnswer,
} from '../device.ts'
import type { ComputeType } from '../onnx/emit.ts'
import { Engine } from '../onnx/engine.ts'
import { deviation } from './numerics.ts'
import type { Finding } from './report.ts'
import { gemmRate, stepTime, transferRates } from './speed.ts'

/** Relative errors that rounding explains: of eight bits of mantissa, of eleven, of twenty-four. */
const tolerance: Readonly<Record<ComputeType, number>> = {
  bfloat16: 0.05,
  float16: 0.01,
  float32: 1e-4,
}

/** A step of a small model is half small kernels; below this share of the products' rate something else holds it up. */
const leastShare = 0.05

/** The driver's answer and whether the provider is there are parameters, so that a machine can be imagined. */
export async function examine(
  answer?: DriverAnswer,
  hasProvider: boolean = existsSync(providerPath()),
): Promise<Finding[]> {
  const said = answer ?? (await askDriver())
  const cards = 'output' in said ? parseCards(said.output) : []
  const findings = [driver(said, cards), provider(cards.length > 0, hasProvider)]
  const card = hasProvider ? (cards[0] ?? null) : null
  const placement = placementOf(card, 'AUTO')
  const engine = new Engine(availableParallelism(), placement)
  const where = placement.device === 'cuda' ? 'on CUDA' : 'on the CPU'
  try {
    const attempt = async (what: string, test: () => Promise<Omit<Finding, 'what'>[]>) => {
      try {
        findings.push(...(await test()).map((finding) => ({ what, ...finding })))
      } catch (error) {
        const found = error instanceof Error ? error.message : String(error)
        findings.push({ what, state: 'wrong', found })
      }
    }
    await attempt(`step ${where}`, async () => {
      const { loss, gradient, nodes } = await deviation(engine)
      const most = tolerance[engine.compute]
      const state = loss <= most && gradient <= most ? 'ok' : 'wrong'
      return [
        {
          state,
          found: `all ${nodes} nodes in ${engine.compute}; from float64: loss ${loss.toExponential(1)}, gradient ${gradient.toExponential(1)} (at most ${most})`,
          advice:
            'the numbers are wrong; another driver, or engine.compute FLOAT32, may give right ones',
        },
      ]
    })
    await attempt('transfers', async () => {
      if (placement.device === 'cpu') return [{ state: 'untested', found: 'a CPU needs none' }]
      const { to, back } = await transferRates(engine)
      return [{ state: 'ok', found: `${giga(to)}B/s to the card, ${giga(back)}B/s back` }]
    })
    await attempt('speed', async () => {
      const rate = await gemmRate(engine)
      const { seconds, flops, tokens } = await stepTime(engine)
      const share = flops / seconds / rate
      return [
        {
          state: share >= leastShare ? 'ok' : 'wrong',
          found: `products ${giga(rate)}FLOP/s; a step of ${tokens} tokens ${(1000 * seconds).toFixed(0)} ms, ${(100 * share).toFixed(0)}% of that`,
          advice: `a step reaches ${(100 * share).toFixed(1)}% of the products' rate, expected ${100 * leastShare}% at least: is something else running ${where}?`,
        },
      ]
    })
  } finally {
    await engine.close()
  }
  return findings
}

const giga = (perSecond: number): string => `${(perSecond / 1e9).toFixed(1)} G`

function driver(said: DriverAnswer, [card, ...others]: readonly Card[]): Finding {
  if ('problem' in said)
    return {
      what: 'driver',
      // A machine without a driver is one without a card; a driver that does not answer is broken.
      state: said.missing ? 'untested' : 'wrong',
      found: said.problem.split('\n')[0]!,
      advice: 'nvidia-smi itself fails: the driver must answer before anything else can',
    }
  if (!card) return { what: 'driver', state: 'untested', found: 'it names no card' }
  const more = others.length > 0 ? ` (and ${others.length} more, unused)` : ''
  const memory = `${(card.memory / 2 ** 30).toFixed(1)} GiB`
  return {
    what: 'driver',
    state: 'ok',
    found: `${card.name}, ${memory}, compute capability ${card.capability.join('.')}${more}`,
  }
}

function provider(hasCard: boolean, hasProvider: boolean): Finding {
  const what = 'provider'
  if (hasProvider) return { what, state: 'ok', found: 'onnxruntime has its CUDA provider' }
  const found = 'onnxruntime-node has no CUDA provider: the CPU is used'
  if (!hasCard) return { what, state: 'untested', found }
  return {
    what,
    state: 'wrong',
    found,
    advice: `put libonnxruntime_providers_cuda.so and _shared.so of the same version at ${providerPath()}, with CUDA 13's libraries on LD_LIBRARY_PATH`,
  }
}
