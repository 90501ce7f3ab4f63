/** Frozen weights in a graph: external data, and what makes values of the compute type of them. */
import { absmaxLevels, nestedBlockSize } from '../quantization/absmax.ts'
import { blockSize, levels } from '../quantization/nf4.ts'
import type { ByteRange, Nf4Weight } from '../tensor/storedWeight.ts'
import type { ComputeType, Writer } from './emit.ts'
import { elementTypes, type ElementType, type Initializer } from './proto.ts'

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

/** The two levels of a byte of codes, the upper half first: [256, 2]. */
const pairs = Array.from({ length: 256 }, (_, byte) => [levels[byte >> 4]!, levels[byte & 15]!])

/**
 * Nodes that make an NF4 weight dense: a table lookup by codes and a product, each rounded to float32 as bitsandbytes does, then
 * the compute type. Lookups, because no kernel of both providers reads NF4 for the forward and the backward pass alike.
 */
export function dequantized(
  name: string,
  weight: Nf4Weight,
  compute: ComputeType,
  w: Pick<Writer, 'op' | 'constant' | 'integers'>,
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
  /** Entries of a table by uint8 codes. */
  const lookUp = (values: readonly number[], dims: readonly number[], codes: string) => {
    const indexes = w.op('Cast', [codes], { to: elementTypes.int32 })
    return w.op('Gather', [w.constant(values, dims, 'float32'), ...indexes], { axis: 0 })[0]!
  }
  /** The first `length` along axis 0, where there are more. */
  const first = (x: string, length: number, of: number): string =>
    length === of
      ? x
      : w.op('Slice', [x, w.integers([0]), w.integers([length]), w.integers([0])])[0]!

  const centred = lookUp(
    [...absmaxLevels],
    [256],
    stored('.absmax', absmax.codes, [nested, nestedBlockSize], 'uint8'),
  )
  const scaled = w.op('Mul', [
    centred,
    stored('.nested_absmax', absmax.scales, [nested, 1], 'float32'),
  ])
  const whole = w.op('Add', [...scaled, stored('.nested_offset', absmax.offset, [1], 'float32')])
  const [column] = w.op('Reshape', [...whole, w.integers([-1, 1, 1])])
  const scales = first(column!, blocks, nested * nestedBlockSize)

  const codes = stored('', weight.codes, [blocks, blockSize / 2], 'uint8')
  const unit = lookUp(pairs.flat(), [256, 2], codes) // [blocks, 32, 2]
  const [values] = w.op('Mul', [unit, scales])
  const padded = blocks * blockSize
  const flat = size === padded ? values! : w.op('Reshape', [values!, w.integers([-1])])[0]!
  const dense = w.op('Reshape', [first(flat, size, padded), w.integers(shape)])
  return compute === 'float32' ? dense : w.op('Cast', dense, { to: elementTypes[compute] })
}
