/** What an optimizer remembers of past gradients: vectors of the engine, by name. */
import type { Vector } from '../onnx/engine.ts'

export type Layout = Readonly<
  Record<string, { readonly dtype: 'F32' | 'U8'; readonly length: number }>
>
export type Moments = Readonly<Record<string, Vector>>

/** Before the first step. */
export const noMoments = (layout: Layout): Moments =>
  Object.fromEntries(
    Object.entries(layout).map(([name, { dtype, length }]) => [
      name,
      dtype === 'U8' ? new Uint8Array(length) : new Float32Array(length),
    ]),
  )
