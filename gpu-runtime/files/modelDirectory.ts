/**
 * A model in Hugging Face layout: config.json and its weights, in one safetensors file or in shards
 * with an index.
 */
import { readdir, stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { FormatError } from '../error.ts'
import { readJsonIfPresent } from './json.ts'
import { readHeader, type Header, type TensorInfo } from './safetensors.ts'

export type ModelDirectory = {
  /** Absolute path. */
  readonly directory: string
  /** config.json, not yet interpreted. */
  readonly config: unknown
  /** Every weight by name, whichever file holds it. */
  readonly tensors: ReadonlyMap<string, TensorInfo>
}

const single = 'model.safetensors'
const index = 'model.safetensors.index.json'

/**
 * Open a model: reads config.json and the headers, no weights. Throws FormatError naming the file
 * that is missing or wrong.
 */
export async function openModel(path: string): Promise<ModelDirectory> {
  const directory = resolve(path)
  const files = await list(directory)
  const config = await readJsonIfPresent(join(directory, 'config.json'))
  if (config === undefined)
    throw new FormatError(`${directory}: no config.json; expected a model in Hugging Face layout`)
  if (files.includes(single))
    return { directory, config, tensors: (await readHeader(join(directory, single))).tensors }
  const shards = await readJsonIfPresent(join(directory, index))
  if (shards === undefined) {
    const others = files.filter((file) => /\.(bin|pth?|gguf|h5|safetensors)$/.test(file))
    const found = others.length > 0 ? `; found ${others.join(', ')}` : ''
    throw new FormatError(`${directory}: expected ${single} or ${index}${found}`)
  }
  return { directory, config, tensors: await readShards(directory, shards) }
}

async function list(directory: string): Promise<string[]> {
  const info = await stat(directory).catch(() => null)
  if (info === null) throw new FormatError(`${directory}: no such directory`)
  if (!info.isDirectory())
    throw new FormatError(`${directory}: expected a directory in Hugging Face layout, got a file`)
  return (await readdir(directory)).toSorted()
}

async function readShards(directory: string, json: unknown): Promise<Map<string, TensorInfo>> {
  const where = join(directory, index)
  const files = (json as { weight_map?: unknown } | null)?.weight_map
  if (typeof files !== 'object' || files === null || Array.isArray(files))
    throw new FormatError(`${where}: expected an object "weight_map" from tensor names to files`)

  const headers = new Map<string, Header>()
  const tensors = new Map<string, TensorInfo>()
  for (const [name, file] of Object.entries(files)) {
    if (typeof file !== 'string' || file !== basename(file))
      throw new FormatError(
        `${where}: tensor "${name}" is in ${JSON.stringify(file)}, expected a file beside the index`,
      )
    if (!headers.has(file)) headers.set(file, await readShard(join(directory, file), where))
    const tensor = headers.get(file)!.tensors.get(name)
    if (tensor === undefined) throw new FormatError(`${where}: tensor "${name}" is not in ${file}`)
    tensors.set(name, tensor)
  }
  return tensors
}

async function readShard(path: string, where: string): Promise<Header> {
  try {
    return await readHeader(path)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause
    throw new FormatError(`${where}: names ${path}, which is missing; is the download complete?`, {
      cause,
    })
  }
}

/** By name only: files of the Hub's cache are links to blobs elsewhere, and that is fine. */
