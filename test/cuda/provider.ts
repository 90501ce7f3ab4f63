/**
 * onnxruntime's CUDA provider: the binary that onnxruntime-gpu on PyPI ships, of exactly the version of our onnxruntime-node,
 * which has none. `fetch.sh` puts it where this looks.
 */
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { spawnSync } from 'node:child_process'

const repository = resolve(import.meta.dirname, '../..')

/** Folder of the npm package that the engine loads. */
export const runtimePackage = resolve(
  dirname(createRequire(import.meta.url).resolve('onnxruntime-node')),
  '..',
)

const { version } = JSON.parse(readFileSync(join(runtimePackage, 'package.json'), 'utf8')) as {
  version: string
}

/** Files of the provider; they must lie beside onnxruntime's own library. */
export const providerFiles = ['cuda', 'shared'].map((n) => `libonnxruntime_providers_${n}.so`)

/** Folder with the provider: ODDSMITH_CUDA_PROVIDER, else where fetch.sh leaves it. */
export const providerFolder =
  process.env.ODDSMITH_CUDA_PROVIDER ?? join(repository, `.cache/onnxruntime-gpu-${version}`)

/** Why nothing can be run on the stub card here, or false. */
export const noProvider: string | false = missing()

function missing(): string | false {
  if (process.platform !== 'linux' || process.arch !== 'x64')
    return `the CUDA provider is for linux on x64, not ${process.platform} on ${process.arch}`
  if (!providerFiles.every((file) => existsSync(join(providerFolder, file))))
    return `no CUDA provider in ${providerFolder}: run test/cuda/fetch.sh, or set ODDSMITH_CUDA_PROVIDER`
  if (spawnSync('cc', ['--version']).status !== 0) return 'no C compiler (cc)'
  return false
}
