/** Log-likelihoods of continuations: each context is computed once, its choices are branches, nothing else gets logits. */
import type { LoraSpec } from '#schema/spec.ts'
import { lora } from '../lora/lora.ts'
import type { Checkpoint } from '../models/checkpoint.ts'
import { layout, stream } from '../models/forest.ts'
import { decoder, frozen } from '../models/decoder.ts'
import { placeScored, scoredLogProbabilities, type Target } from '../models/predictions.ts'
import { emit, type ComputeType } from '../onnx/emit.ts'
import type { Engine, Session } from '../onnx/engine.ts'

/** Token ids. A choice goes on from the context; its tokens before the last `scored` ones are read, not judged. */
export type ScoreRequest = {
  /** At least one token. */
  readonly context: readonly number[]
  readonly choices: readonly (readonly number[])[]
  /** How many tokens at the end of each choice count. */
  readonly scored: readonly number[]
}

/** Log-probabilities of the tokens that count, in nats. */
export type ChoiceScore = { readonly logLikelihood: number; readonly tokens: readonly number[] }

/** context > choices */
const depth = 2

/** Vector in the engine that holds the adapter being scored. */
const adapterVector = 'scored adapter'

/** `score` answers by request and choice, in order; each call is one run, so its size is the caller's to bound. */
export type Scorer = {
  score(requests: readonly ScoreRequest[]): Promise<ChoiceScore[][]>
  release(): Promise<void>
}

/**
 * A session that scores a base model, or an adapter on it without merging, computing in `compute`. `adapter` is flat, as lora.ts
 * orders it.
 */
export async function openScorer(
  engine: Engine,
  { config, weight }: Checkpoint,
  adapter: { spec: LoraSpec; flat: Float32Array<ArrayBuffer> } | null,
  compute: ComputeType = 'float32',
): Promise<Scorer> {
  const tuned = adapter ? lora(config, adapter.spec) : null
  const logps = scoredLogProbabilities(
    decoder(config, stream(config, depth), tuned?.parts ?? frozen),
  )
  const session = await engine.open(
    emit(
      { outputs: { logps }, ...(tuned ? { trainables: tuned.trainables } : {}) },
      weight,
      compute,
    ),
  )
  if (adapter) await engine.write(adapterVector, adapter.flat.slice())
  const resident: Record<string, string> = adapter ? { trainables: adapterVector } : {}
  return {
    score: (requests) => score(session, config, requests, resident),
    release: () => session.release(),
  }
}

async function score(
  session: Session,
  config: Checkpoint['config'],
  requests: readonly ScoreRequest[],
  resident: Record<string, string>,
): Promise<ChoiceScore[][]> {
  const roots = requests.map(({ context, choices }) => ({
    ids: context,
    children: choices.map((c) => ({ ids: c.slice(0, -1) })),
  }))
  const placed = layout(config, roots, depth, 0)
  const targets: Target[] = []
  requests.forEach(({ choices, scored }, r) => {
    const root = placed.roots[r]!
    choices.forEach((choice, c) => {
      for (let t = choice.length - scored[c]!; t < choice.length; t++) {
        targets.push({
          source: t === 0 ? root.start + root.length - 1 : root.children[c]!.start + t - 1,
          token: choice[t]!,
        })
      }
    })
  })
  const { logps } = await session.run(
    { ...placed.feeds, ...placeScored(placed, targets) },
    { resident },
  )
  let at = 0
  return requests.map(({ choices, scored }) =>
    choices.map((_, c) => {
      const tokens = Array.from(logps!.data.subarray(at, at + scored[c]!))
      at += tokens.length
      return { logLikelihood: tokens.reduce((a, b) => a + b, 0), tokens }
    }),
  )
}

/** Tokens that a request puts on the stream. */
export const requestTokens = ({ context, choices }: ScoreRequest): number =>
  context.length + choices.reduce((n, c) => n + c.length - 1, 0)
