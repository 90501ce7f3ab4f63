/** However a forest is laid out, each token sees its ancestors and what came before it, and nothing else. */
import assert from 'node:assert/strict'
import test, { after } from 'node:test'
import { openCheckpoint } from '#gpu-runtime/models/checkpoint.ts'
import { decoder, frozen } from '#gpu-runtime/models/decoder.ts'
import { layout, stream, type Placed, type Segment } from '#gpu-runtime/models/forest.ts'
import { emit } from '#gpu-runtime/onnx/emit.ts'
import { Engine } from '#gpu-runtime/onnx/engine.ts'
import { matmul } from '#gpu-runtime/tensor/ops.ts'
import { assertClose } from '../closeness.ts'
import { modelOf } from '../golden.ts'

const engine = new Engine(1)
after(() => engine.close())

/** Trees of two levels with branches of unequal number and length, an empty one among them. */
const forest: readonly Segment[] = [
  {
    ids: [1, 5, 9, 2, 7, 7, 3],
    children: [{ ids: [4, 4, 8, 1, 2] }, { ids: [6] }, { ids: [] }],
  },
  { ids: [3], children: [{ ids: [2, 2, 11] }] },
]

/** Every path from a root to a leaf, as the ids it reads and where they stand in the stream. */
function paths(
  segments: readonly Segment[],
  placed: readonly Placed[],
): { ids: number[]; at: number[] }[] {
  return segments.flatMap(({ ids, children = [] }, i) => {
    const { start, children: below } = placed[i]!
    const mine = { ids: [...ids], at: ids.map((_, t) => start + t) }
    if (children.length === 0) return [mine]
    return paths(children, below).map((rest) => ({
      ids: [...mine.ids, ...rest.ids],
      at: [...mine.at, ...rest.at],
    }))
  })
}

for (const name of ['tiny', 'tiny-llama3'] as const)
  test(`${name}: logits of a forest are those of its paths, in one block of rows, in two and in three`, async () => {
    const { config, weight } = await openCheckpoint(modelOf(name))
    const open = (depth: number, blocks: number) => {
      const { hidden, head } = decoder(config, stream(config, depth, blocks), frozen)
      const logits = matmul(hidden, head, { transB: true })
      return engine.open(emit({ outputs: { logits } }, weight))
    }
    const plain = await open(1, 1)
    for (const blocks of [1, 2, 3]) {
      const session = await open(2, blocks)
      const { feeds, roots } = layout(config, forest, 2, 0, { blocks })
      const got = (await session.run(feeds)).logits!
      const width = got.shape[1]!
      const all = paths(forest, roots)
      assert.equal(all.length, 4)
      for (const { ids, at } of all) {
        const alone = (await plain.run(layout(config, [{ ids }], 1, 0).feeds)).logits!
        at.forEach((row, t) =>
          assertClose(
            got.data.subarray(row * width, (row + 1) * width),
            alone.data.subarray(t * width, (t + 1) * width),
            { atol: 2e-5, rtol: 1e-5 },
            `${blocks} blocks, path ${ids}, token ${t}`,
          ),
        )
      }
      await session.release()
    }
    await plain.release()
  })
