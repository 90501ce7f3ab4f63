/** onnxruntime-node whose sessions say where they placed each node, and what they added. */
import ort from 'onnxruntime-node'

const { create } = ort.InferenceSession
ort.InferenceSession.create = ((model: Uint8Array, options: ort.InferenceSession.SessionOptions) =>
  create.call(ort.InferenceSession, model, {
    ...options,
    logSeverityLevel: 0,
  })) as typeof ort.InferenceSession.create

export default ort
