/** What a safetensors file says of its tensors: 8 bytes of little-endian length, then a header in JSON. */
import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'

export type TensorShape = { readonly dtype: string; readonly shape: readonly number[] }

const Header = z.record(
  z.string(),
  z.looseObject({ dtype: z.string().optional(), shape: z.array(z.number()).optional() }),
)

/** The tensors of a file by name, from its header alone. Throws Error saying what was expected. */
export async function readShapes(file: string): Promise<Map<string, TensorShape>> {
  const handle = await open(file)
  try {
    const start = await handle.read(Buffer.alloc(8), 0, 8, 0)
    const { size } = await handle.stat()
    const length = start.bytesRead === 8 ? Number(start.buffer.readBigUInt64LE()) : Infinity
    if (length > Math.min(size - 8, 100 << 20))
      throw new Error(`expected a safetensors header, got a file of ${size} bytes`)
    const { buffer } = await handle.read(Buffer.alloc(length), 0, length, 8)
    const header = Header.parse(JSON.parse(buffer.toString('utf8')))
    return new Map(
      Object.entries(header).flatMap(([name, { dtype, shape }]) =>
        dtype === undefined || shape === undefined ? [] : [[name, { dtype, shape }] as const],
      ),
    )
  } catch (cause) {
    if (cause instanceof z.ZodError || cause instanceof SyntaxError)
      throw new Error('expected a safetensors header in JSON', { cause })
    throw cause
  } finally {
    await handle.close()
  }
}

/** Of all safetensors files in a folder. */
export async function readAllShapes(folder: string): Promise<Map<string, TensorShape>> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.safetensors'))
  const files = await Promise.all(names.map((name) => readShapes(join(folder, name))))
  return new Map(files.flatMap((shapes) => [...shapes]))
}
