/**
 * AdamW (Loshchilov & Hutter 2019) as torch.optim.AdamW computes it, over one flat vector, in place, with gradient clipping as
 * torch.nn.utils.clip_grad_norm_: a graph of its own, so that moments never travel.
 */
import { emit, type Emitted } from '../onnx/emit.ts'
import type { Engine, Session } from '../onnx/engine.ts'
import { floats } from '../tensor/feed.ts'
import {
  add,
  div,
  input,
  lessOrEqual,
  mul,
  reshape,
  split,
  sqrt,
  sub,
  sum,
  where,
} from '../tensor/ops.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { Layout } from './moments.ts'

export type AdamWSettings = {
  readonly beta1: number
  readonly beta2: number
  readonly epsilon: number
  readonly weightDecay: number
  readonly maxGradNorm: number
}

/** What transformers' Trainer uses. */
export const adamDefaults = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }

/** The moments of AdamW, float32 both. */
export function layout32bit(sizes: readonly number[]): Layout {
  const length = sizes.reduce((a, b) => a + b, 0)
  return { m: { dtype: 'F32', length }, v: { dtype: 'F32', length } }
}

/**
 * Σ g² of a vector of n values: [1]. In blocks of about √n, since onnxruntime adds one float32 after the other: in one go, the
 * norm of 5 million gradients comes out 6e-4 too small, and it decides about clipping.
 */
function sumOfSquares(g: Tensor, n: number): Tensor {
  const square = mul(g, g)
  const block = Math.ceil(Math.sqrt(n))
  const whole = Math.floor(n / block) * block
  const [head, ...tail] = whole === n ? [square] : split(square, 0, [whole, n - whole])
  const blocks = sum(reshape(head!, [whole / block, block]), [1])
  return [reshape(sum(blocks, [0]), [1]), ...tail.map((t) => sum(t, [0]))].reduce(add)
}

function graph(
  { beta1, beta2, epsilon, weightDecay, maxGradNorm }: AdamWSettings,
  parameters: number,
): Emitted {
  const vector = (name: string) => input(name, [parameters])
  const scalar = (name: string) => input(name, [1])
  const [w, m, v, g] = [vector('w'), vector('m'), vector('v'), vector('g')]
  const norm = sqrt(sumOfSquares(g, parameters)) // [1]
  const factor = div(maxGradNorm, add(norm, 1e-6))
  const clipped = mul(g, where(lessOrEqual(factor, 1), factor, 1))
  const nextM = add(mul(m, beta1), mul(clipped, 1 - beta1))
  const nextV = add(mul(v, beta2), mul(mul(clipped, clipped), 1 - beta2))
  const denominator = add(div(sqrt(nextV), scalar('correction2')), epsilon)
  const decayed = weightDecay === 0 ? w : mul(w, sub(1, mul(scalar('rate'), weightDecay)))
  const nextW = sub(decayed, mul(div(nextM, denominator), scalar('stepSize')))
  // A gradient that is not finite moves nothing.
  const finite = lessOrEqual(norm, 3.4e38)
  const outputs = {
    nextW: where(finite, nextW, w),
    nextM: where(finite, nextM, m),
    nextV: where(finite, nextV, v),
    norm,
  }
  return emit({ outputs }, (name) => {
    throw new Error(`internal: no weight ${name}`)
  })
}

/** Updates the engine's vectors `trainables`, `m` and `v` from `gradient`. */
export class AdamW {
  readonly #session: Session
  readonly #settings: AdamWSettings

  private constructor(session: Session, settings: AdamWSettings) {
    this.#session = session
    this.#settings = settings
  }

  /** For vectors of `parameters` values. */
  static async open(engine: Engine, settings: AdamWSettings, parameters: number): Promise<AdamW> {
    return new AdamW(await engine.open(graph(settings, parameters), 'cpu'), settings)
  }

  /** Step `step` (1, 2, ...) at a learning rate; returns the gradient's norm before clipping. */
  async step(step: number, rate: number): Promise<number> {
    const { beta1, beta2, weightDecay } = this.#settings
    const scalars = {
      stepSize: floats([rate / (1 - beta1 ** step)]),
      correction2: floats([Math.sqrt(1 - beta2 ** step)]),
      ...(weightDecay === 0 ? {} : { rate: floats([rate]) }),
    }
    const { norm } = await this.#session.run(scalars, {
      resident: { w: 'trainables', m: 'm', v: 'v', g: 'gradient' },
      into: { nextW: 'trainables', nextM: 'm', nextV: 'v' },
    })
    return norm!.data[0]!
  }

  release(): Promise<void> {
    return this.#session.release()
  }
}
