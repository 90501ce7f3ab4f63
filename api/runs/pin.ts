/** Pinning: what a path holds right now, by content, so that a spec means the same thing for ever. */
import { readFile, readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { z } from 'zod'
import { families, isFamily, type Family } from '#schema/families.ts'
import { sha256 } from '../canonical.ts'
import type { Config } from '../env.ts'
import { InvalidInput } from '../problem.ts'
import { fingerprint } from './fingerprint.ts'
import { insideRoots } from './paths.ts'
import { readShapes } from './safetensors.ts'

export type PinnedModel = {
  /** Real path of the directory. */
  readonly path: string
  readonly name: string
  readonly revision: string
  readonly family: Family
  readonly parameters: number
  /** Of most of its parameters, as safetensors names it: F32, BF16, … */
  readonly dtype: string
}

export type PinnedFile = {
  readonly path: string
  readonly name: string
  readonly sha256: string
  readonly bytes: number
}

/** Files that change what a model computes or how text becomes tokens. */
const meaningful = [
  'config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'chat_template.jinja',
]

/**
 * A directory in Hugging Face layout. The revision is the sha256 over `<file name> <sha256>` lines, sorted by name, of
 * config, tokenizer, chat template and weights: it does not change when the directory moves.
 */
export async function pinModel(
  config: Config,
  path: string,
  at: readonly string[],
): Promise<PinnedModel> {
  const directory = await insideRoots(config.roots, path, 'directory', at)
  const wrong = (message: string) =>
    new InvalidInput([{ path: at, message: `${directory}: ${message}` }])
  const listed = (await readdir(directory)).sort()
  const weights = listed.filter((name) => name.endsWith('.safetensors'))
  const names = listed.filter(
    (name) =>
      meaningful.includes(name) ||
      name.endsWith('.safetensors') ||
      name.endsWith('.safetensors.index.json'),
  )
  for (const needed of ['config.json', 'tokenizer.json']) {
    if (!names.includes(needed))
      throw wrong(`expected a model in Hugging Face layout; there is no ${needed}`)
  }
  if (weights.length === 0)
    throw wrong('expected a model in Hugging Face layout; there is no .safetensors file')
  // The Hub's cache keeps links to blobs: each must stay inside the roots as well.
  const files = new Map<string, string>()
  for (const name of names)
    files.set(name, await insideRoots(config.roots, join(directory, name), 'file', at))

  const family = await familyOf(files.get('config.json')!, wrong)
  const totals = new Map<string, number>()
  for (const name of weights) {
    const counts = await countParameters(files.get(name)!).catch((cause: Error) => {
      throw wrong(`${name}: ${cause.message}`)
    })
    for (const [dtype, count] of counts) totals.set(dtype, (totals.get(dtype) ?? 0) + count)
  }
  const lines: string[] = []
  for (const [name, file] of files)
    lines.push(`${name} ${(await fingerprint(config.home, file)).sha256}\n`)
  const [dtype] = [...totals].reduce(
    (most, other) => (other[1] > most[1] ? other : most),
    ['none', 0],
  )
  return {
    path: directory,
    name: basename(directory),
    revision: sha256(lines.join('')),
    family,
    parameters: [...totals.values()].reduce((sum, count) => sum + count, 0),
    dtype,
  }
}

/** Why the model of a spec is no longer what it was when the run was made, as a sentence; null when it is. */
export async function modelChanged(
  config: Config,
  { path, revision }: { readonly path: string; readonly revision: string },
): Promise<string | null> {
  try {
    const now = await pinModel(config, path, ['model', 'path'])
    if (now.revision === revision) return null
    return `${path}: the model has changed since the run was made: expected revision ${revision}, got ${now.revision}; start a new run`
  } catch (error) {
    if (!(error instanceof InvalidInput)) throw error
    return `${error.issues.map((i) => i.message).join('; ')}; it was there when the run was made`
  }
}

export async function pinFile(
  config: Config,
  path: string,
  at: readonly string[],
  roots = config.roots,
): Promise<PinnedFile> {
  const file = await insideRoots(roots, path, 'file', at)
  return { path: file, name: basename(file), ...(await fingerprint(config.home, file)) }
}

const ModelConfig = z.looseObject({ model_type: z.string() })

async function familyOf(file: string, wrong: (message: string) => InvalidInput): Promise<Family> {
  const parsed = await readFile(file, 'utf8')
    .then((text) => ModelConfig.safeParse(JSON.parse(text)))
    .catch(() => null)
  if (!parsed?.success) throw wrong('config.json: expected a JSON object with model_type')
  const { model_type } = parsed.data
  if (!isFamily(model_type)) {
    throw wrong(
      `config.json: expected model_type to be one of ${Object.keys(families).join(', ')}, got "${model_type}"`,
    )
  }
  return model_type
}

/** Elements by dtype, from the header alone. */
async function countParameters(file: string): Promise<Map<string, number>> {
  const counts = new Map<string, number>()
  for (const { dtype, shape } of (await readShapes(file)).values())
    counts.set(dtype, (counts.get(dtype) ?? 0) + shape.reduce((product, n) => product * n, 1))
  return counts
}
