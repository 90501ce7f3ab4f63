/** The end of a step's graph: the token that comes next, and the inputs that it is drawn by. */
import type { Forward } from '../models/decoder.ts'
import { cast, concat, draw, input, largest, matmul, softCap } from '../tensor/ops.ts'
import type { Tensor } from '../tensor/tensor.ts'

/** int64 [G], of a pass over G tokens; with more than one candidate it is drawn by `drawFeeds`' inputs. */
export function nextToken(
  { hidden, head, addedHead, logitCap }: Forward,
  candidates: number,
): Tensor {
  const known = cast(matmul(hidden, head, { transB: true }), 'float32')
  const added = addedHead && matmul(cast(hidden, 'float32'), addedHead, { transB: true })
  const logits = softCap(added ? concat([known, added], 1) : known, logitCap)
  if (candidates === 1) return largest(logits)
  return draw(logits, candidates, {
    temperature: input('temperature', []),
    topP: input('topP', []),
    uniform: input('uniform', ['G', 1]),
  })
}
