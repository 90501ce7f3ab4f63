/** In inputs null means what absence means: the default. */

export type Given<T> = T extends readonly (infer Item)[]
  ? Given<Item>[]
  : T extends object
    ? { [K in keyof T]: undefined extends T[K] ? Given<Exclude<T[K], null>> : Given<T[K]> }
    : T

/** The input without what is null, all the way down; what is left is as it was given. */
export function given<T>(input: T): Given<T> {
  if (Array.isArray(input)) return input.map((item) => given(item)) as Given<T>
  if (typeof input !== 'object' || input === null) return input as Given<T>
  const entries = Object.entries(input).flatMap(([key, value]) => (value == null ? [] : [[key, given(value)]]))
  return Object.fromEntries(entries) as Given<T>
}
