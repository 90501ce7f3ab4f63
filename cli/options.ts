/** Values on the command line. */
import { InvalidArgumentError } from 'commander'

/** A whole number from `least`. */
export const wholeFrom =
  (least: number) =>
  (text: string): number => {
    const n = Number(text)
    if (text.trim() === '' || !Number.isSafeInteger(n) || n < least)
      throw new InvalidArgumentError(`expected a whole number from ${least}, got "${text}"`)
    return n
  }

export function real(text: string): number {
  const x = Number(text)
  if (text.trim() === '' || !Number.isFinite(x))
    throw new InvalidArgumentError(`expected a number, got "${text}"`)
  return x
}

/** An option that may be given again, or with commas. */
export const list = (text: string, before: readonly string[] = []): string[] => [
  ...before,
  ...text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== ''),
]

/** Ids are Type:uuid; paths of downloads have the uuid alone. */
export const bare = (id: string): string => id.slice(id.indexOf(':') + 1)
