/** The real model of the benchmarks, which is not part of the repository. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'

/** SmolLM2-135M, into a folder of `scratch`. */
export async function unpack(shared: string, scratch: string): Promise<string> {
  const tool = join(shared, 'tools/smollm2.py')
  if (!existsSync(tool)) throw new Error(`no ${tool}: give --model, or set ODDSMITH_SHARED`)
  const directory = join(scratch, 'model')
  await promisify(execFile)('python3', [tool, directory])
  return directory
}
