/**
 * Keywords as patterns: the reference hands them to Python's re as they are. Of a pattern's syntax the
 * dot alone is taken, so a match is as long as the keyword, and time grows with the text.
 */
import { z } from 'zod'

/** 1 to 200 characters without `\ ^ $ * + ? ( ) [ { |`. */
export const keyword = z
  .string()
  .regex(/\S/, 'expected more than space')
  .max(200)
  .regex(/^[^\\^$*+?()[{|]*$/, 'expected no syntax of regular expressions but the dot')

/** Source of a pattern for the flag u: a dot is any character of a line. */
export const source = (pattern: string): string =>
  [...pattern].map((ch) => (ch === '.' ? '[^\\n]' : RegExp.escape(ch))).join('')

/** The same for the flags iu. Python's i is dotted and dotless, small and capital, all alike. */
export const anyCase = (pattern: string): string =>
  [...pattern].map((ch) => (/[iIıİ]/.test(ch) ? '[iıİ]' : source(ch))).join('')
