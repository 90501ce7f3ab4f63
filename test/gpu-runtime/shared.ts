/**
 * Data that is not part of the repository: tests that need it are skipped, with the reason, where
 * it is absent.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'

const root = resolve(process.env['ODDSMITH_SHARED'] ?? join(import.meta.dirname, '../../../shared'))

/** A path below ODDSMITH_SHARED (default: ../shared beside the repository). */
export const shared = (path: string): string => join(root, path)

/** For `test(…, { skip })`. */
export const withoutShared: string | false = existsSync(root)
  ? false
  : `no shared data at ${root}; set ODDSMITH_SHARED`

/**
 * SmolLM2-135M-Instruct as a Hugging Face directory: $ODDSMITH_SMOLLM2, else unpacked once. Null,
 * with a reason, where it cannot be had.
 */
export async function smollm2(): Promise<
  { directory: string } | { directory: null; reason: string }
> {
  const given = process.env['ODDSMITH_SMOLLM2']
  if (given !== undefined) return { directory: given }
  if (withoutShared !== false) return { directory: null, reason: withoutShared }
  const directory = join(tmpdir(), 'oddsmith-smollm2')
  try {
    await promisify(execFile)('python3', [shared('tools/smollm2.py'), directory])
    return { directory }
  } catch (error) {
    return {
      directory: null,
      reason: `SmolLM2 cannot be unpacked (python3 with numpy needed): ${(error as Error).message.split('\n')[0]}`,
    }
  }
}
