/** The linears of a decoder layer as the checkpoint has them: most families have one for each name of the spec, some fuse them. */
import type { Linear } from '#schema/spec.ts'
import type { DecoderConfig } from './config.ts'

export type Module = {
  /** Below a layer: `self_attn.q_proj`. */
  readonly path: string
  readonly name: string
  readonly in: number
  /** What it computes, side by side: itself, or those that it fuses. */
  readonly parts: readonly { readonly linear: Linear; readonly out: number }[]
}

/** A layer's linears; those of one input stand together. */
export function modules({
  hidden,
  heads,
  kvHeads,
  headDim,
  intermediate,
  fused,
}: DecoderConfig): Module[] {
  const shapes = {
    q_proj: ['self_attn', hidden, heads * headDim],
    k_proj: ['self_attn', hidden, kvHeads * headDim],
    v_proj: ['self_attn', hidden, kvHeads * headDim],
    o_proj: ['self_attn', heads * headDim, hidden],
    gate_proj: ['mlp', hidden, intermediate],
    up_proj: ['mlp', hidden, intermediate],
    down_proj: ['mlp', intermediate, hidden],
  } as const satisfies Record<Linear, unknown>
  const module = (name: string, parts: readonly Linear[]): Module => {
    const [block, width] = shapes[parts[0]!]
    return {
      path: `${block}.${name}`,
      name,
      in: width,
      parts: parts.map((linear) => ({ linear, out: shapes[linear][2] })),
    }
  }
  return (Object.keys(shapes) as Linear[]).flatMap((linear) => {
    const found = Object.entries(fused).find(([, parts]) => parts.includes(linear))
    if (!found) return [module(linear, [linear])]
    return found[1][0] === linear ? [module(...found)] : []
  })
}

/** The width of a linear's result. */
export const width = ({ parts }: Module): number => parts.reduce((sum, { out }) => sum + out, 0)

/** Linears of one input. */
const siblings: readonly (readonly string[])[] = [
  ['q_proj', 'k_proj', 'v_proj'],
  ['gate_proj', 'up_proj'],
]

/** The linears of a block that read what the one at `path` reads, itself included, where the block fuses none of them. */
export function readingWith(path: string): string[] {
  const at = path.lastIndexOf('.') + 1
  const name = path.slice(at)
  return (siblings.find((group) => group.includes(name)) ?? [name]).map(
    (n) => path.slice(0, at) + n,
  )
}
