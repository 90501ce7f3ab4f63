/** Where the demo's own model, preference rows and benchmark lie. */
import { fileURLToPath } from 'node:url'

const file = (name: string): string => fileURLToPath(new URL(name, import.meta.url))

export const embedded = {
  model: file('zoo-334k'),
  dataset: file('preferences.jsonl'),
  benchmark: file('benchmark.jsonl'),
} as const
