/** Frozen weights in a graph: external data, and what makes values of the compute type of them. */
import { absmaxLevels, nestedBlockSize } from '../quantization/absmax.ts'
import { blockSize, levels } from '../quantization/nf4.ts'
import type { ByteRange, Nf4Weight } from '../tensor/storedWeight.ts'
import type { ComputeType, Writer } from './emit.ts'
import { elementTypes, encodeValues, type ElementType, type Initializer } from './proto.ts'

/** An initializer whose bytes stay in their file. Locations are absolute paths without the first slash. */
export const external = (
  name: string,
  { file, offset, bytes }: ByteRange,
  dims: readonly number[],
  type: ElementType,
): Initializer => ({
  name,
  dims,
  dataType: elementTypes[type],
  externalData: [
    { key: 'location', value: file.replace(/^\//, '') },
    { key: 'offset', value: String(offset) },
    { key: 'length', value: String(bytes) },
  ],
  dataLocation: 1,
})

const table = (name: string, rows: readonly (readonly number[])[]): Initializer => ({
  name,
  dims: [rows.length, 256],
  dataType: elementTypes.float32,
  rawData: encodeValues(rows.flat(), 'float32'),
})
const bytes = Array.from({ length: 256 }, (_, byte) => byte)
/** What the upper half of a byte of codes stands for, and what the lower. */
const halves = table('nf4 levels', [
  bytes.map((byte) => levels[byte >> 4]!),
  bytes.map((byte) => levels[byte & 15]!),
])
const absmaxTable = table('nf4 absmax levels', [[...absmaxLevels]])

/**
 * Nodes that make an NF4 weight dense: a table lookup by codes and a product, each rounded to float32 as bitsandbytes does, then
 * the compute type. Lookups, because no kernel of both providers reads NF4 for the forward and the backward pass alike; by
 * GatherElements, which on a CPU is more than three times as fast as rows of two by Gather.
 */
export function dequantized(
  name: string,
  weight: Nf4Weight,
  compute: ComputeType,
  w: Pick<Writer, 'op' | 'integers'>,
  add: (initializer: Initializer) => void,
): string[] {
  const { shape, absmax } = weight
  const size = shape.reduce((a, b) => a * b, 1)
  const blocks = Math.ceil(size / blockSize)
  const nested = Math.ceil(blocks / nestedBlockSize)
  const stored = (part: string, range: ByteRange, dims: readonly number[], type: ElementType) => {
    add(external(`${name}${part}`, range, dims, type))
    return `${name}${part}`
  }
  /** Entries of a table [t, 256] by codes [1, n]: [t, n]. */
  const lookUp = (from: Initializer, codes: string, n: number) => {
    add(from)
    const [t] = from.dims
    const indexes = w.op('Cast', [codes], { to: elementTypes.int32 })
    const each = t === 1 ? indexes : w.op('Expand', [...indexes, w.integers([t!, n])])
    return w.op('GatherElements', [from.name, ...each], { axis: 1 })
  }
  const reshape = (x: string, dims: readonly number[]) => w.op('Reshape', [x, w.integers(dims)])[0]!
  /** The first `length` along axis 0, where there are more. */
  const first = (x: string, length: number, of: number): string =>
    length === of
      ? x
      : w.op('Slice', [x, w.integers([0]), w.integers([length]), w.integers([0])])[0]!

  const nestedCodes = stored('.absmax', absmax.codes, [1, nested * nestedBlockSize], 'uint8')
  const [unscaled] = lookUp(absmaxTable, nestedCodes, nested * nestedBlockSize)
  const centred = w.op('Mul', [
    reshape(unscaled!, [nested, nestedBlockSize]),
    stored('.nested_absmax', absmax.scales, [nested, 1], 'float32'),
  ])
  const whole = w.op('Add', [...centred, stored('.nested_offset', absmax.offset, [1], 'float32')])
  const scales = first(reshape(whole[0]!, [-1, 1]), blocks, nested * nestedBlockSize) // [blocks, 1]

  const pairs = (blocks * blockSize) / 2
  const codes = stored('', weight.codes, [1, pairs], 'uint8')
  const unit = w.op('Transpose', lookUp(halves, codes, pairs), { perm: [1, 0] }) // [pairs, 2]
  const [values] = w.op('Mul', [reshape(unit[0]!, [blocks, blockSize]), scales])
  const padded = blocks * blockSize
  const flat = size === padded ? values! : first(reshape(values!, [-1]), size, padded)
  const dense = reshape(flat, shape)
  return compute === 'float32' ? [dense] : w.op('Cast', [dense], { to: elementTypes[compute] })
}
