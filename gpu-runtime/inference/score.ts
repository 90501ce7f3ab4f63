/**
 * Log-likelihoods of continuations: what contexts share is computed once, each context is computed
 * once, its choices are branches, and nothing but what is asked for gets logits.
 */
import type { LoraSpec } from '#schema/spec.ts'
import { lora } from '../lora/lora.ts'
import type { Checkpoint } from '../models/checkpoint.ts'
import type { DecoderConfig } from '../models/config.ts'
import { layout, stream, type Layout, type Placed, type Segment } from '../models/forest.ts'
import { decoder, frozen } from '../models/decoder.ts'
import {
  likeliestTokens,
  placeScored,
  scoredLogProbabilities,
  type Target,
} from '../models/predictions.ts'
import { emit, type ComputeType } from '../onnx/emit.ts'
import type { Engine, Session } from '../onnx/engine.ts'
import { grain, type Tree } from './trees.ts'

/**
 * Token ids. A choice goes on from the context; its tokens before the last `scored` ones are read,
 * not judged.
 */
export type ScoreRequest = {
  /** At least one token. */
  readonly context: readonly number[]
  /** At least one token each. */
  readonly choices: readonly (readonly number[])[]
  /** How many tokens at the end of each choice count. */
  readonly scored: readonly number[]
}

export type ChoiceScore = {
  /** Sum over `tokens`. */
  readonly logLikelihood: number
  /** Log-probabilities of the tokens that count, in nats. */
  readonly tokens: readonly number[]
  /** Whether each of them was the likeliest; false where the scorer does not look. */
  readonly greedy: boolean
}

/** prefix > contexts > choices */
const depth = 3

/** An adapter that is scored without merging; `flat` as lora.ts orders it. */
export type Tuned = { readonly spec: LoraSpec; readonly flat: Float32Array<ArrayBuffer> }

/**
 * `score` answers by request and choice, in the trees' order; each call is one run for each subject,
 * so its size is the caller's to bound.
 */
export type Scorer = {
  /** [subject][request][choice] */
  score(trees: readonly Tree[]): Promise<ChoiceScore[][][]>
  release(): Promise<void>
}

export type ScorerOptions = {
  readonly compute?: ComputeType
  /** Look for the likeliest tokens too: one more product with the vocabulary's matrix. */
  readonly greedy?: boolean
}

let opened = 0

/**
 * Scores subjects, each the base model itself (null) or an adapter on it, on the same tokens in one
 * pass over them. Adapters of one shape share a session, which has each one's numbers at hand. Beside
 * an adapter the base model has no session either: it is the adapter whose numbers are all 0, which
 * adds 0 to what the base computes.
 */
export async function openScorer(
  engine: Engine,
  checkpoint: Checkpoint,
  subjects: readonly (Tuned | null)[],
  { compute = 'float32', greedy = false }: ScorerOptions = {},
): Promise<Scorer> {
  const { config } = checkpoint
  const name = `scorer ${++opened}`
  const sessions = new Map<string, Promise<Session>>()
  const open = (spec: LoraSpec | null) => {
    const key = JSON.stringify(spec)
    const found = sessions.get(key) ?? engine.open(graph(checkpoint, spec, compute, greedy))
    sessions.set(key, found)
    return found
  }
  // Rows of added tokens are no difference to the base, but its own.
  const beside = config.addedTokens === 0 ? subjects.find((subject) => subject !== null) : undefined
  const none = beside && { spec: beside.spec, flat: new Float32Array(beside.flat.length) }
  const lanes = await Promise.all(
    subjects.map(async (subject, i) => {
      const tuned = subject ?? none
      const resident: Record<string, string> = {}
      if (tuned === undefined) return { session: await open(null), resident }
      resident['trainables'] = `${name}: adapter ${i}`
      await engine.write(resident['trainables'], tuned.flat.slice())
      return { session: await open(tuned.spec), resident }
    }),
  )
  return {
    async score(trees) {
      const { placed, targets } = place(config, trees)
      const feeds = { ...placed.feeds, ...placeScored(placed, targets) }
      const answers: ChoiceScore[][][] = []
      for (const { session, resident } of lanes) {
        const outputs = await session.run(feeds, { resident })
        answers.push(answer(trees, targets, outputs))
      }
      return answers
    },
    async release() {
      for (const session of sessions.values()) await (await session).release()
      await engine.forget(lanes.flatMap(({ resident }) => Object.values(resident)))
    },
  }
}

function graph(
  { config, weight }: Checkpoint,
  spec: LoraSpec | null,
  compute: ComputeType,
  greedy: boolean,
) {
  const tuned = spec ? lora(config, spec) : null
  const forward = decoder(config, stream(config, depth), tuned?.parts ?? frozen)
  return emit(
    {
      outputs: {
        logps: scoredLogProbabilities(forward),
        ...(greedy ? { likeliest: likeliestTokens(forward) } : {}),
      },
      ...(tuned ? { trainables: tuned.trainables } : {}),
    },
    weight,
    compute,
  )
}

/** Trees on the stream, and what is asked of it, request by request and choice by choice. */
function place(
  config: DecoderConfig,
  trees: readonly Tree[],
): { placed: Layout; targets: Target[] } {
  const roots = trees.map(({ prefix, items }): Segment => {
    const contexts = items.map(({ context, choices }) => ({
      ids: context.slice(prefix.length),
      // A choice of one token is only predicted.
      children: choices.filter((c) => c.length > 1).map((c) => ({ ids: c.slice(0, -1) })),
    }))
    return prefix.length === 0 ? contexts[0]! : { ids: prefix, children: contexts }
  })
  const placed = layout(config, roots, depth, 0, { align: grain })
  const targets: Target[] = []
  trees.forEach(({ prefix, items }, t) => {
    const root = placed.roots[t]!
    items.forEach(({ choices, scored }, i) => {
      const context = prefix.length === 0 ? root : root.children[i]!
      const last = lastOf(context)
      let branch = 0
      choices.forEach((choice, c) => {
        const start = choice.length > 1 ? context.children[branch++]!.start : 0
        for (let at = choice.length - scored[c]!; at < choice.length; at++)
          targets.push({ source: at === 0 ? last : start + at - 1, token: choice[at]! })
      })
    })
  })
  return { placed, targets }
}

/** The last token that a segment's successors see: its own, or its parent's where it has none. */
const lastOf = ({ start, length, parent }: Placed): number =>
  length > 0 ? start + length - 1 : lastOf(parent!)

function answer(
  trees: readonly Tree[],
  targets: readonly Target[],
  { logps, likeliest }: { readonly [name: string]: { readonly data: ArrayLike<number> } },
): ChoiceScore[][] {
  let at = 0
  return trees.flatMap(({ items }) =>
    items.map(({ choices, scored }) =>
      choices.map((_, c) => {
        const tokens = Array.from({ length: scored[c]! }, (__, i) => logps!.data[at + i]!)
        const greedy =
          likeliest !== undefined &&
          tokens.every((__, i) => likeliest.data[at + i] === targets[at + i]!.token)
        at += tokens.length
        return { logLikelihood: tokens.reduce((a, b) => a + b, 0), tokens, greedy }
      }),
    ),
  )
}
