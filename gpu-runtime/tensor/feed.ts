/** Values for a graph's inputs: typed arrays with their shapes. */

/** One value, row-major; float32 or int64 by the kind of its array. */
export type Feed = {
  readonly data: Float32Array | BigInt64Array
  readonly shape: readonly number[]
}
/** By the names of the graph's inputs. */
export type Feeds = Readonly<Record<string, Feed>>

/** A float32 value, a vector unless `shape` says more. A Float32Array is taken as it is, not copied. */
export const floats = (
  data: ArrayLike<number>,
  shape: readonly number[] = [data.length],
): Feed => ({ data: data instanceof Float32Array ? data : Float32Array.from(data), shape })

/** An int64 value, a vector unless `shape` says more. Throws RangeError for a number that is not whole. */
export function integers(data: ArrayLike<number>, shape: readonly number[] = [data.length]): Feed {
  const big = new BigInt64Array(data.length)
  for (let i = 0; i < data.length; i++) big[i] = BigInt(data[i]!)
  return { data: big, shape }
}
