/**
 * The safetensors format: 8 bytes of header length, a JSON header that gives each tensor's dtype,
 * shape and byte range, then the bytes. Read with the checks of the reference implementation (the
 * ranges cover the file without overlap or hole).
 */
import { open, type FileHandle } from 'node:fs/promises'
import { resolve } from 'node:path'
import { FormatError } from '../error.ts'
import { writeAtomically } from './atomic.ts'
import { dtypeBytes, fromBf16, isDtype, toBf16, type Dtype } from './dtype.ts'
import { duplicateKey } from './json.ts'

export type TensorInfo = {
  readonly name: string
  readonly dtype: Dtype
  readonly shape: readonly number[]
  /** Absolute path. */
  readonly file: string
  /** Byte offset in the file, not in its data section. */
  readonly offset: number
  readonly bytes: number
}

export type Header = {
  readonly tensors: ReadonlyMap<string, TensorInfo>
  readonly metadata: Readonly<Record<string, string>>
}

/** The limit of the reference implementation. */
const maxHeaderBytes = 100_000_000

/**
 * Read and check the header; the tensors' bytes stay on disk. Throws FormatError for anything a
 * reader could misread.
 */
export async function readHeader(path: string): Promise<Header> {
  const file = resolve(path)
  const handle = await open(file, 'r')
  try {
    const { size } = await handle.stat()
    if (size < 8)
      throw new FormatError(`${path}: ${size} bytes, expected at least the 8 of the header length`)
    const length = (await readFully(handle, 0, 8, path)).readBigUInt64LE()
    if (length > maxHeaderBytes)
      throw new FormatError(
        `${path}: header of ${length} bytes, expected at most ${maxHeaderBytes}; is this a safetensors file?`,
      )
    const start = 8 + Number(length)
    if (start > size)
      throw new FormatError(
        `${path}: header ends at byte ${start}, but the file has ${size}; it is cut short`,
      )
    return parseHeader(await readFully(handle, 8, start - 8, path), { path, file, start, size })
  } finally {
    await handle.close()
  }
}

type Place = { path: string; file: string; start: number; size: number }

function parseHeader(bytes: Uint8Array, { path, file, start, size }: Place): Header {
  let json: unknown
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    json = JSON.parse(text)
  } catch (cause) {
    throw new FormatError(`${path}: the header is not JSON in UTF-8: ${(cause as Error).message}`, {
      cause,
    })
  }
  if (!isObject(json)) throw new FormatError(`${path}: expected the header to be a JSON object`)
  const twice = duplicateKey(text)
  if (twice !== null) throw new FormatError(`${path}: tensor "${twice}" occurs twice in the header`)

  let metadata: Record<string, string> = {}
  const tensors: TensorInfo[] = []
  for (const [name, entry] of Object.entries(json)) {
    if (name === '__metadata__') metadata = parseMetadata(entry, path)
    else tensors.push(parseTensor(name, entry, { path, file, start, size }))
  }

  let end = start
  for (const tensor of tensors.toSorted((a, b) => a.offset - b.offset || a.bytes - b.bytes)) {
    if (tensor.offset < end)
      throw new FormatError(
        `${path}: tensor "${tensor.name}" starts at byte ${tensor.offset}, inside another that ends at ${end}`,
      )
    if (tensor.offset > end)
      throw new FormatError(
        `${path}: bytes ${end} to ${tensor.offset}, before tensor "${tensor.name}", belong to no tensor`,
      )
    end = tensor.offset + tensor.bytes
  }
  if (end !== size)
    throw new FormatError(`${path}: the tensors end at byte ${end}, but the file has ${size}`)
  return { tensors: new Map(tensors.map((tensor) => [tensor.name, tensor])), metadata }
}

function parseMetadata(entry: unknown, path: string): Record<string, string> {
  if (!isObject(entry) || Object.values(entry).some((value) => typeof value !== 'string'))
    throw new FormatError(`${path}: expected __metadata__ to map strings to strings`)
  return entry as Record<string, string>
}

function parseTensor(name: string, entry: unknown, { path, file, start, size }: Place): TensorInfo {
  const fail = (problem: string) => new FormatError(`${path}: tensor "${name}" ${problem}`)
  if (!isObject(entry)) throw fail('is not described by an object')
  const { dtype, shape, data_offsets: offsets } = entry
  if (!isDtype(dtype))
    throw fail(
      `has dtype ${JSON.stringify(dtype)}, expected one of ${Object.keys(dtypeBytes).join(', ')}`,
    )
  if (!isCounts(shape))
    throw fail(`has shape ${JSON.stringify(shape)}, expected non-negative integers`)
  if (!isCounts(offsets) || offsets.length !== 2 || offsets[0]! > offsets[1]!)
    throw fail(
      `has data_offsets ${JSON.stringify(offsets)}, expected [begin, end] with begin <= end`,
    )
  const [begin, end] = offsets as [number, number]
  if (start + end > size) throw fail(`ends at byte ${start + end}, but the file has ${size}`)
  const expected = shape.reduce((product, n) => product * n, dtypeBytes[dtype])
  if (end - begin !== expected)
    throw fail(`has ${end - begin} bytes, expected ${expected} for ${dtype} [${shape.join(', ')}]`)
  return { name, dtype, shape, file, offset: start + begin, bytes: end - begin }
}

/**
 * The tensor's values as float32: F32 as it is, F16 and BF16 widened (exact). Throws FormatError
 * for other dtypes.
 */
export async function readTensor(info: TensorInfo): Promise<Float32Array> {
  return widening(info)(await readBytes(info))
}

/**
 * As `readTensor`, part by part of at most `elements` values, so that a large tensor is never in
 * memory as a whole.
 */
export async function* readParts(info: TensorInfo, elements: number): AsyncGenerator<Float32Array> {
  const widen = widening(info)
  const step = elements * dtypeBytes[info.dtype]
  const handle = await open(info.file, 'r')
  try {
    for (let at = 0; at < info.bytes; at += step) {
      const length = Math.min(step, info.bytes - at)
      yield widen((await readFully(handle, info.offset + at, length, info.file)).buffer)
    }
  } finally {
    await handle.close()
  }
}

function widening(info: TensorInfo): (bytes: ArrayBuffer) => Float32Array {
  const widen = {
    F32: (bytes: ArrayBuffer) => new Float32Array(bytes),
    F16: (bytes: ArrayBuffer) => new Float32Array(new Float16Array(bytes)),
    BF16: (bytes: ArrayBuffer) => fromBf16(new Uint16Array(bytes)),
  }[info.dtype as string]
  if (widen === undefined)
    throw new FormatError(
      `${info.file}: tensor "${info.name}" is ${info.dtype}, expected F32, F16 or BF16`,
    )
  return widen
}

/** The tensor's bytes as they are in the file. */
export async function readBytes(info: TensorInfo): Promise<ArrayBuffer> {
  const handle = await open(info.file, 'r')
  try {
    return (await readFully(handle, info.offset, info.bytes, info.file)).buffer
  } finally {
    await handle.close()
  }
}

/** One `read` returns at most 2^31 − 1 bytes, and may return fewer than asked. */
async function readFully(
  handle: FileHandle,
  offset: number,
  length: number,
  path: string,
): Promise<Buffer<ArrayBuffer>> {
  const bytes = Buffer.from(new ArrayBuffer(length))
  for (let done = 0; done < length;) {
    const { bytesRead } = await handle.read(
      bytes,
      done,
      Math.min(length - done, 2 ** 30),
      offset + done,
    )
    if (bytesRead === 0)
      throw new FormatError(`${path}: ends at byte ${offset + done}, expected ${offset + length}`)
    done += bytesRead
  }
  return bytes
}

/** What a header says of a tensor that is to be written. */
export type TensorPlan = {
  readonly name: string
  readonly dtype: 'F32' | 'BF16' | 'F16' | 'I64' | 'U8'
  readonly shape: readonly number[]
}

export type NewTensor = TensorPlan & {
  /**
   * The elements, or their bits; a Float32Array for BF16 or F16 is rounded to nearest, ties to
   * even.
   */
  readonly data: Float32Array | Float16Array | Uint16Array | BigInt64Array | Uint8Array
}

/**
 * Write a file, whole or not at all. The same tensors and metadata give the same bytes, in whatever
 * order they come: as the reference implementation, by element size (so that each tensor is aligned
 * to its own), then by name.
 */
export async function writeSafetensors(
  path: string,
  tensors: readonly NewTensor[],
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const sorted = tensors.toSorted(
    (a, b) =>
      dtypeBytes[b.dtype] - dtypeBytes[a.dtype] || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0),
  )
  await streamSafetensors(path, sorted, sorted.map(bytesOf), metadata)
}

/**
 * Write a file, whole or not at all, from tensors that are made one after another: `data` are their
 * bytes in the order of `plans`, which is theirs in the file.
 */
export async function streamSafetensors(
  path: string,
  plans: readonly TensorPlan[],
  data: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const sizes = plans.map(({ dtype, shape }) => shape.reduce((n, d) => n * d, dtypeBytes[dtype]))
  const begin = header(path, plans, sizes, metadata)
  async function* chunks(): AsyncGenerator<Uint8Array> {
    yield begin
    let at = 0
    for await (const bytes of data) {
      const plan = plans[at]
      if (bytes.byteLength !== sizes[at])
        throw new Error(
          `${path}: tensor "${plan?.name}" has ${bytes.byteLength} bytes, expected ${sizes[at]} for ${plan?.dtype} [${plan?.shape.join(', ')}]`,
        )
      at++
      yield bytes
    }
    if (at < plans.length) throw new Error(`${path}: tensor "${plans[at]!.name}" was not given`)
  }
  await writeAtomically(path, chunks())
}

/** Length and JSON, padded so that the data section begins on a multiple of 8. */
function header(
  path: string,
  plans: readonly TensorPlan[],
  sizes: readonly number[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  const entries: [string, unknown][] = []
  if (Object.keys(metadata).length > 0)
    entries.push([
      '__metadata__',
      Object.fromEntries(Object.entries(metadata).toSorted(([a], [b]) => (a < b ? -1 : 1))),
    ])
  const names = new Set(['__metadata__'])
  let end = 0
  plans.forEach(({ name, dtype, shape }, i) => {
    if (names.has(name))
      throw new Error(`${path}: tensor "${name}" given twice, or a reserved name`)
    names.add(name)
    entries.push([name, { dtype, shape, data_offsets: [end, (end += sizes[i]!)] }])
  })
  // Built by hand: an object would put names that look like integers first.
  const json = `{${entries.map(([name, entry]) => `${JSON.stringify(name)}:${JSON.stringify(entry)}`).join(',')}}`
  const text = Buffer.from(json)
  const whole = Buffer.alloc(8 + Math.ceil(text.length / 8) * 8, ' ')
  whole.writeBigUInt64LE(BigInt(whole.length - 8))
  text.copy(whole, 8)
  return whole
}

function bytesOf({ dtype, data }: NewTensor): Uint8Array {
  const elements =
    data instanceof Float32Array && dtype === 'BF16'
      ? toBf16(data)
      : data instanceof Float32Array && dtype === 'F16'
        ? new Float16Array(data)
        : data
  return new Uint8Array(elements.buffer, elements.byteOffset, elements.byteLength)
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const isCounts = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0)
