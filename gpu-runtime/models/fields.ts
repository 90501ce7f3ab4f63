/** Fields of a parsed config.json, each read with what it is expected to be; a FormatError says where and what instead. */
import { FormatError } from '../error.ts'

export type Json = Readonly<Record<string, unknown>>
export type Fields = ReturnType<typeof fields>

/**
 * Readers of the fields of `json`; `where` names it in errors. An absent field has the fallback, or is an error where there is
 * none. null is as good as absent, but in `countOrNull` and `positiveOrNull`, where it is an answer.
 */
export function fields(json: Json, where: string) {
  const check = <T>(
    field: string,
    value: unknown,
    expected: string,
    isRight: (value: unknown) => value is T,
  ): T => {
    if (value === undefined)
      throw new FormatError(`${where}: ${field} is missing, expected ${expected}`)
    if (!isRight(value))
      throw new FormatError(`${where}: ${field} is ${show(value)}, expected ${expected}`)
    return value
  }
  const get = <T>(
    field: string,
    expected: string,
    isRight: (value: unknown) => value is T,
    fallback?: T,
  ): T => check(field, json[field] ?? fallback, expected, isRight)
  const nullable = <T>(
    field: string,
    expected: string,
    isRight: (value: unknown) => value is T,
    fallback: T | null,
  ): T | null => {
    const value = json[field] === undefined ? fallback : json[field]
    return value === null ? null : check(field, value, `${expected} or null`, isRight)
  }
  const isOneOf =
    <T extends string>(values: readonly T[]) =>
    (value: unknown): value is T =>
      values.includes(value as T)
  return {
    count: (field: string, fallback?: number) =>
      get(field, 'a positive integer', isCount, fallback),
    countOrNull: (field: string, fallback: number | null) =>
      nullable(field, 'a positive integer', isCount, fallback),
    positive: (field: string, fallback?: number) =>
      get(field, 'a positive number', isPositive, fallback),
    positiveOrNull: (field: string, fallback: number | null) =>
      nullable(field, 'a positive number', isPositive, fallback),
    flag: (field: string, fallback: boolean) => get(field, 'true or false', isFlag, fallback),
    oneOf: <T extends string>(field: string, values: readonly T[], fallback?: T): T =>
      get(field, values.map(show).join(' or '), isOneOf(values), fallback),
    /** One of `values` for each of `length` layers, or null when the field is absent. */
    ofLayers: <T>(field: string, length: number, values: readonly T[]): readonly T[] | null => {
      const isRight = (value: unknown): value is T[] =>
        Array.isArray(value) && value.length === length && value.every((v: T) => values.includes(v))
      const expected = `${length} of ${values.map(show).join(' or ')}, one a layer`
      return json[field] == null ? null : check(field, json[field], expected, isRight)
    },
    /** Refuse any other value than `value`, which is what an absent field means. */
    only: (field: string, value: boolean | null, why: string) => {
      if (json[field] != null && json[field] !== value)
        throw new FormatError(
          `${where}: ${field} is ${show(json[field])}, expected ${show(value)}: ${why}`,
        )
    },
    object: (field: string): Json => get(field, 'an object', isObject, {}),
    /** A token id, a list of them, or nothing. */
    ids: (field: string): readonly number[] => {
      const isRight = (value: unknown): value is number[] =>
        Array.isArray(value) && value.every(isId)
      const value = json[field] ?? []
      if (isRight(value)) return value
      return [check(field, value, 'a token id or a list of them', isId)]
    },
  }
}

export const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
export const show = (value: unknown): string => JSON.stringify(value) ?? 'missing'

const isCount = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) > 0
const isId = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0
const isPositive = (value: unknown): value is number =>
  typeof value === 'number' && Number.isFinite(value) && value > 0
const isFlag = (value: unknown): value is boolean => typeof value === 'boolean'
