import assert from 'node:assert/strict'
import test from 'node:test'
import { ahead } from '#gpu-runtime/inference/ahead.ts'

test('answers come in order, and the next question is asked before an answer is awaited', async () => {
  const log: string[] = []
  const ask = async (n: number) => {
    log.push(`ask ${n}`)
    return n * n
  }
  for await (const [n, square] of ahead([1, 2, 3], ask)) log.push(`${n}² = ${square}`)
  assert.deepEqual(log, ['ask 1', 'ask 2', '1² = 1', 'ask 3', '2² = 4', '3² = 9'])
  assert.deepEqual(await Array.fromAsync(ahead([], ask)), [])
})

test('an error comes where its answer would, and the question after it is waited for', async () => {
  let settled = 0
  const ask = async (n: number) => {
    await new Promise((resolve) => setTimeout(resolve, 5))
    settled++
    if (n >= 2) throw new Error(`question ${n}`)
    return n
  }
  const seen: number[] = []
  await assert.rejects(async () => {
    for await (const [n] of ahead([1, 2, 3, 4], ask)) seen.push(n)
  }, /question 2/)
  assert.deepEqual([seen, settled], [[1], 3])
  for await (const [n] of ahead([1, 3, 4], ask)) if (n === 1) break
  assert.equal(settled, 5)
})
