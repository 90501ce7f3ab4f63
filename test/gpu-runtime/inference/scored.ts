/** Scores of requests that share nothing, by a scorer of one subject. */
import type { ChoiceScore, ScoreRequest, Scorer } from '#gpu-runtime/inference/score.ts'
import type { Tree } from '#gpu-runtime/inference/trees.ts'

/** Each request as a tree of its own. */
export const bare = (requests: readonly ScoreRequest[]): Tree[] =>
  requests.map((request) => ({ prefix: [], items: [request] }))

/** By request and choice. */
export async function scored(
  scorer: Scorer,
  requests: readonly ScoreRequest[],
): Promise<ChoiceScore[][]> {
  const [scores] = await scorer.score(bare(requests))
  return scores!
}
