/** The benchmark's figures: ratios, bytes and seconds; null where a side was not run. */

/** Names as `--json` writes them. */
export type Figures = {
  /** Pairs per second of whole steps, ours over TRL's: medians of ratios at the same step. */
  speedup: { fp32: number | null; bf16: number | null }
  /** Of each step, the one that warms up included. */
  losses: { ours: number[] | null; fp32: number[] | null; bf16: number[] | null }
  /** Peak resident bytes. */
  memory: {
    fastest: { ours: number | null; trlFp32: number | null; trlBf16: number | null }
    smallest: { ours: number | null; trlFp32: number | null }
  }
  /** From the start of the process to the first step. */
  startSeconds: { ours: number | null; trl: number | null }
  /** Needed FLOPs per second over what onnxruntime's products reach; `recomputeOn` recomputes whole layers. */
  gemmShare: { recomputeOff: number | null; recomputeOn: number | null }
}

export const noFigures = (): Figures => ({
  speedup: { fp32: null, bf16: null },
  losses: { ours: null, fp32: null, bf16: null },
  memory: {
    fastest: { ours: null, trlFp32: null, trlBf16: null },
    smallest: { ours: null, trlFp32: null },
  },
  startSeconds: { ours: null, trl: null },
  gemmShare: { recomputeOff: null, recomputeOn: null },
})
