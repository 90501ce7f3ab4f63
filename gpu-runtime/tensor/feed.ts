/** Values for a graph's inputs: typed arrays with their shapes. */

export type Feed = {
  readonly data: Float32Array | BigInt64Array
  readonly shape: readonly number[]
}
export type Feeds = Readonly<Record<string, Feed>>

export const floats = (
  data: ArrayLike<number>,
  shape: readonly number[] = [data.length],
): Feed => ({ data: data instanceof Float32Array ? data : Float32Array.from(data), shape })

export function integers(data: ArrayLike<number>, shape: readonly number[] = [data.length]): Feed {
  const big = new BigInt64Array(data.length)
  for (let i = 0; i < data.length; i++) big[i] = BigInt(data[i]!)
  return { data: big, shape }
}
