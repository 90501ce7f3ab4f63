/**
 * The dynamic 8-bit data type (Dettmers 2016, 8-bit approximations for parallelism), as bitsandbytes' create_dynamic_map has it:
 * 256 values from -1 (signed) or 0 to 1, ascending, of float32. Seven decades, the values in each the middles of equal parts of
 * it, twice as many as in the one below: 64 (128 unsigned) in the highest; then 0 and 1.
 */
export function dynamicMap(signed: boolean): Float32Array {
  const values = [0, 1]
  for (let decade = 0; decade < 7; decade++) {
    const scale = Math.fround(10 ** (decade - 6))
    for (const middle of middles(2 ** (signed ? decade : decade + 1))) {
      values.push(scale * middle)
      if (signed) values.push(-scale * middle)
    }
  }
  return Float32Array.from(values).sort()
}

/** Of `count` equal parts of [0.1, 1], with the last bits of PyTorch's linspace: from the nearer end, rounded once. */
function middles(count: number): number[] {
  const low = Math.fround(0.1)
  const step = Math.fround(Math.fround(1 - low) / count)
  const border = (i: number) =>
    Math.fround(i < Math.floor((count + 1) / 2) ? low + step * i : 1 - step * (count - i))
  return Array.from({ length: count }, (_, i) => Math.fround(border(i) + border(i + 1)) / 2)
}
