/** What a job works with, and an adapter on it. */
import type { LoraSpec } from '#schema/spec.ts'
import type { Client } from './client.ts'
import type { Card } from './device.ts'
import type { Checkpoint } from './models/checkpoint.ts'
import type { Engine } from './onnx/engine.ts'
import type { Reporter } from './report.ts'
import type { ChatMl } from './text/chatMl.ts'
import type { Text } from './text/text.ts'

/** `checkpoint` is what it stands on: the base's, with room for the tokens that it adds. */
export type Adapter = {
  readonly spec: LoraSpec
  readonly flat: Float32Array<ArrayBuffer>
  readonly checkpoint: Checkpoint
}

export type Bench = {
  readonly client: Client
  readonly report: Reporter
  readonly signal: AbortSignal
  readonly checkpoint: Checkpoint
  readonly text: Text
  /** What adapters of a model without a chat template are trained and asked in; null where the model has one. */
  readonly chatMl: ChatMl | null
  readonly engine: Engine
  readonly card: Card | null
  /** A folder of this job's own, gone at its end. */
  readonly scratch: string
}
