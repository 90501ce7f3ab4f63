/** Preloaded in the child and in its threads: the engine's onnxruntime-node is the copy that has the CUDA provider. */
import { registerHooks } from 'node:module'
import { pathToFileURL } from 'node:url'

const { ONNXRUNTIME_WITH_CUDA: copy, ONNXRUNTIME_LOG: verbose } = process.env
const logging = new URL('./onnxruntime.ts', import.meta.url).href

registerHooks({
  resolve(specifier, context, next) {
    if (specifier !== 'onnxruntime-node') return next(specifier, context)
    const raw = pathToFileURL(copy!).href
    return { url: verbose && context.parentURL !== logging ? logging : raw, shortCircuit: true }
  },
})
