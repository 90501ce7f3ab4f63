/**
 * ORPO (Hong et al. 2024, eq. 6), as TRL computes it. All tensors are float32.
 *
 *   loss = Σ nllWeight · (−log p)  −  β Σ pairWeight · log σ(log odds)
 *   log odds = (a − b) − (log(1 − eᵃ) − log(1 − eᵇ)),   a, b = mean log p of the answer's tokens
 *
 * Weights are inputs: they hold 1/N of the logical micro-batch, so how pairs are spread over runs never changes the loss.
 */
import {
  add,
  exp,
  input,
  log,
  matmul,
  mul,
  neg,
  reshape,
  softplus,
  sub,
  tanh,
  total,
} from '../tensor/ops.ts'
import type { Dim } from '../tensor/dim.ts'
import type { Tensor } from '../tensor/tensor.ts'

export type OrpoTerms = {
  /** This run's part of the loss, a scalar. */
  readonly loss: Tensor
  readonly nll: Tensor
  /** Mean log p of each pair's answers, [B]. */
  readonly chosen: Tensor
  readonly rejected: Tensor
  readonly logOdds: Tensor
  /** log σ(log odds), [B]. */
  readonly ratio: Tensor
}

/** `logps` [K, 1] are the log-probabilities that the weights refer to. */
export function orpo(logps: Tensor, count: Dim, beta: number): OrpoTerms {
  const mean = (name: string) => reshape(matmul(input(name, ['B', count]), logps), ['B'])
  const chosen = mean('chosenWeights')
  const rejected = mean('rejectedWeights')
  const logOdds = sub(sub(chosen, rejected), sub(log1mexp(chosen), log1mexp(rejected)))
  const ratio = neg(softplus(neg(logOdds)))
  const nll = neg(total(mul(reshape(logps, [count]), input('nllWeights', [count]))))
  const loss = sub(nll, mul(total(mul(ratio, input('pairWeights', ['B']))), beta))
  return { loss, nll, chosen, rejected, logOdds, ratio }
}

/** log(1 − eˣ) for x < 0. 1 − eˣ = −tanh(x/2)(eˣ + 1) keeps its digits when x → 0, as training succeeds; ONNX has no expm1. */
export const log1mexp = (x: Tensor): Tensor => log(neg(mul(tanh(mul(x, 0.5)), add(exp(x), 1))))
