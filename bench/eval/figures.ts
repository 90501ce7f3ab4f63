/** The benchmark's figures: ratios, nats, bytes and seconds; null where a side was not run. */
import { readFile } from 'node:fs/promises'
import type { GenerationSide } from './generationSides.ts'

/** Names as `--json` writes them. A ratio says how many times the other side's speed ours is. */
export type Figures = {
  /** Documents per second, ours over lm-evaluation-harness's. */
  speedup: { fp32: number | null; bf16: number | null }
  /** Of one machine at one time; ours beside float32. */
  documentsPerSecond: { ours: number | null; fp32: number | null; bf16: number | null }
  /** With lm-evaluation-harness in float32: of any request; of documents, how many pick another choice. */
  agreement: { maxLogLikelihoodDifference: number | null; flippedDocuments: number | null }
  /** The same of lm-evaluation-harness in bfloat16, which is that far from float32. */
  bf16: { maxLogLikelihoodDifference: number | null; flippedDocuments: number | null }
  /** New tokens per second: over transformers in float32 with 8 sequences, over llama.cpp in float32 with one. */
  generation: {
    hf: number | null
    llamaCpp: number | null
    hfOne: number | null
    llamaCppF16: number | null
  }
  /** New ones, with the number of sequences; of one machine at one time. */
  tokensPerSecond: Partial<Record<GenerationSide['key'], number>>
  /** A base and two adapters: one pass over the sum of three, and its peak over the largest of theirs. */
  onePass: { time: number | null; memory: number | null }
  /** Tokens that were computed in all. */
  tokens: { ours: number | null; harness: number | null }
  /** Peak resident bytes of scoring; `ourLong` with contexts of 2,048 tokens. */
  memory: { ours: number | null; fp32: number | null; bf16: number | null; ourLong: number | null }
  /** From the start of the process to the first scored batch. */
  startSeconds: { ours: number | null; harness: number | null }
  /** FLOPs that scoring needs per second, over what onnxruntime's products reach. */
  gemmShare: number | null
}

const none: Figures = {
  speedup: { fp32: null, bf16: null },
  documentsPerSecond: { ours: null, fp32: null, bf16: null },
  agreement: { maxLogLikelihoodDifference: null, flippedDocuments: null },
  bf16: { maxLogLikelihoodDifference: null, flippedDocuments: null },
  generation: { hf: null, llamaCpp: null, hfOne: null, llamaCppF16: null },
  tokensPerSecond: {},
  onePass: { time: null, memory: null },
  tokens: { ours: null, harness: null },
  memory: { ours: null, fp32: null, bf16: null, ourLong: null },
  startSeconds: { ours: null, harness: null },
  gemmShare: null,
}

/** Those of earlier runs, where `file` has any: parts can be measured one after the other. */
export async function readFigures(file: string | null): Promise<Figures> {
  const written = file === null ? '{}' : await readFile(file, 'utf8').catch(() => '{}')
  return { ...structuredClone(none), ...(JSON.parse(written) as Partial<Figures>) }
}
