/**
 * The mean of float32 values in float32, summed in PyTorch's order: what quantizes by a mean must have its last bit. The order is
 * that of one thread with vectors of eight; with more threads PyTorch cuts from 32,768 values on and differs from itself.
 */

/** Values of a vector, and vectors that are summed side by side. */
const [lanes, vectors] = [8, 4]
const width = lanes * vectors
/** Partial sums of sums: a level is emptied into the next after so many additions, to keep what is added of one size. */
const depth = 4

/** Of one value at least. */
export function mean(values: Float32Array): number {
  return Math.fround(sum(values) / Math.fround(values.length))
}

function sum(values: Float32Array): number {
  const whole = Math.floor(values.length / lanes) * lanes
  const rows = Math.floor(whole / width)
  const columns = columnSums(values, rows)
  // Vectors that fill no row go to the first column of vectors, which then takes the others.
  for (let at = rows * width; at < whole; at += lanes)
    for (let lane = 0; lane < lanes; lane++) columns[lane]! += values[at + lane]!
  for (let at = lanes; at < width; at++) columns[at % lanes]! += columns[at]!
  let total = 0
  for (let at = whole; at < values.length; at++) total = Math.fround(total + values[at]!)
  for (let lane = 0; lane < lanes; lane++) total = Math.fround(total + columns[lane]!)
  return total
}

/** Sums over the rows of values as [rows, 32]. */
function columnSums(values: Float32Array, rows: number): Float32Array {
  const bits = Math.max(4, Math.floor(ceilLog2(rows) / depth))
  const step = 2 ** bits
  const levels = Array.from({ length: depth }, () => new Float32Array(width))
  const add = (to: Float32Array, from: Float32Array) => {
    for (let i = 0; i < width; i++) to[i]! += from[i]!
  }
  for (let row = 0; row < rows; row++) {
    add(levels[0]!, values.subarray(row * width, (row + 1) * width))
    // After every 2^bits rows level 0 is full, after as many of those level 1, ...
    for (let full = row + 1, level = 1; level < depth && full % step === 0; level++, full /= step) {
      add(levels[level]!, levels[level - 1]!)
      levels[level - 1]!.fill(0)
    }
  }
  for (const level of levels.slice(1)) add(levels[0]!, level)
  return levels[0]!
}

const ceilLog2 = (n: number): number => (n <= 1 ? 0 : 32 - Math.clz32(n - 1))
