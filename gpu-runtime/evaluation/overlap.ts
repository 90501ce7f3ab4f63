/**
 * Contamination: which documents of benchmarks share runs of words with the rows that a model was trained on.
 *
 * Words as lm-evaluation-harness' decontamination has them: lower case, punctuation deleted, cut at white space. The length of a
 * run is that of GPT-3 (Brown et al. 2020, appendix C): the 5th percentile of a task's documents in words, at least 8, at most 13;
 * where a document is shorter than that, 8. Below 8 words nothing is looked for: agreement would be chance. Runs that more than ten
 * documents of a task share are its own wording and say nothing.
 */
import type { PreparedDocument } from './prepare.ts'

const shortest = 8
const longest = 13
const wording = 10

/** `overlap` is the part of the document's words that lie in shared runs; `row` is the first row that has one. */
export type Overlap = { readonly overlap: number; readonly source: number; readonly row: number }

/** The text that would give the answer away: the question and the right answer. */
export function telling({ text, ...document }: PreparedDocument['document']): string {
  if (!('choices' in document))
    return 'target' in document
      ? `${text as string} ${document.target as string}`
      : (text as string)
  const { choices, gold } = document as { choices: readonly string[]; gold: readonly number[] }
  const right = gold[0]!
  return `${typeof text === 'string' ? text : text[right]!} ${choices[right]!}`
}

export const wordsOf = (text: string): string[] =>
  text
    .toLowerCase()
    .replace(/[\p{P}\p{S}]+/gu, '')
    .split(/\s+/)
    .filter((word) => word !== '')

type Entry = {
  readonly task: number
  /** Numbers of its words. */
  readonly words: Int32Array
  /** The length of its runs. */
  readonly n: number
  readonly covered: Uint8Array
  first: { readonly source: number; readonly row: number } | null
}

/** A run of words of an entry. */
type Place = { readonly entry: Entry; readonly at: number }

/** Knows the documents of some tasks, is shown every training row once, and then has each document's overlap. */
export class OverlapIndex {
  readonly #numbers = new Map<string, number>()
  readonly #tasks: Entry[][]
  /** By length, by hash: every run of every document that has not been met yet. */
  readonly #runs = new Map<number, Map<number, Place[]>>()

  constructor(tasks: readonly (readonly string[])[]) {
    this.#tasks = tasks.map((texts, task) => {
      const documents = texts.map((text) =>
        Int32Array.from(wordsOf(text), (word) => this.#numberOf(word)),
      )
      const n = runLength(documents.map((words) => words.length))
      return documents.map((words): Entry => ({
        task,
        words,
        n: words.length < n ? shortest : n,
        covered: new Uint8Array(words.length),
        first: null,
      }))
    })
    for (const entry of this.#tasks.flat()) {
      const runs = this.#runs.get(entry.n) ?? new Map<number, Place[]>()
      this.#runs.set(entry.n, runs)
      for (const [at, hash] of hashes(entry.words, entry.n)) {
        const places = runs.get(hash)
        if (places === undefined) runs.set(hash, [{ entry, at }])
        else places.push({ entry, at })
      }
    }
    for (const runs of this.#runs.values()) withoutWording(runs)
  }

  #numberOf(word: string): number {
    const number = this.#numbers.get(word) ?? this.#numbers.size + 1
    this.#numbers.set(word, number)
    return number
  }

  /** Rows come by source, then ascending: the first that has a run is the one that is named. */
  show(text: string, source: number, row: number): void {
    // A word that no document has is 0, and no run goes over it.
    const words = Int32Array.from(wordsOf(text), (word) => this.#numbers.get(word) ?? 0)
    for (const [n, runs] of this.#runs)
      for (const [at, hash] of hashes(words, n)) {
        const places = runs.get(hash)
        if (places === undefined) continue
        const here = (place: Place) => same(place, { words, n, at })
        for (const { entry, at: place } of places.filter(here)) {
          entry.covered.fill(1, place, place + n)
          entry.first ??= { source, row }
        }
        const left = places.filter((place) => !here(place))
        if (left.length === 0) runs.delete(hash)
        else runs.set(hash, left)
      }
  }

  /** By task and document; null where nothing is shared. */
  overlaps(): (Overlap | null)[][] {
    return this.#tasks.map((entries) =>
      entries.map(({ first, covered }) => {
        if (first === null) return null
        const shared = covered.reduce((sum, one) => sum + one, 0)
        return { overlap: shared / covered.length, ...first }
      }),
    )
  }
}

/** GPT-3's N. */
export function runLength(lengths: readonly number[]): number {
  const sorted = [...lengths].sort((a, b) => a - b)
  const percentile = sorted[Math.floor(sorted.length * 0.05)] ?? longest
  return Math.max(shortest, Math.min(longest, percentile))
}

/** Place and hash of every run of n known words. */
function* hashes(words: Int32Array, n: number): Generator<[at: number, hash: number]> {
  let [hash, known] = [0, 0]
  let oldest = 1
  for (let i = 1; i < n; i++) oldest = Math.imul(oldest, base)
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!
    if (word === 0) {
      known = 0
      hash = 0
      continue
    }
    if (known === n) hash = (hash - Math.imul(words[i - n]!, oldest)) | 0
    else known++
    hash = (Math.imul(hash, base) + word) | 0
    if (known === n) yield [i - n + 1, hash]
  }
}

/** Odd, so that no information leaves a 32-bit product; a hash only finds candidates, the words decide. */
const base = 0x9e3779b1

function same(
  { entry, at }: Place,
  other: { readonly words: Int32Array; readonly n: number; readonly at: number },
): boolean {
  for (let i = 0; i < other.n; i++)
    if (entry.words[at + i] !== other.words[other.at + i]) return false
  return true
}

function withoutWording(runs: Map<number, Place[]>): void {
  for (const [hash, places] of runs) {
    if (places.length <= wording) continue
    const alike = Map.groupBy(
      places,
      ({ entry, at }) => `${entry.task} ${entry.words.subarray(at, at + entry.n).join()}`,
    )
    const telling = [...alike.values()].filter(
      (group) => new Set(group.map(({ entry }) => entry)).size <= wording,
    )
    runs.set(hash, telling.flat())
  }
}
