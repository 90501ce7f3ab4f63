/** Two sides' log-likelihoods of the same requests. */
import { argmax } from '#gpu-runtime/evaluation/tasks/task.ts'
import type { LogLikelihoods } from './documents.ts'

/** Of any request, in nats; and how many documents pick another choice, the first of the likeliest. */
export function agreement(ours: LogLikelihoods, theirs: LogLikelihoods) {
  const differences = ours.flatMap((own, d) => own.map((x, c) => Math.abs(x - theirs[d]![c]!)))
  return {
    maxLogLikelihoodDifference: differences.reduce((a, b) => Math.max(a, b), 0),
    flippedDocuments: ours.filter((own, d) => argmax(own) !== argmax(theirs[d]!)).length,
  }
}

/** Documents whose likeliest choice is a right one, as a part of all. */
export const accuracy = (
  logLikelihoods: LogLikelihoods,
  gold: readonly (readonly number[])[],
): number =>
  logLikelihoods.filter((own, d) => gold[d]!.includes(argmax(own))).length / logLikelihoods.length
