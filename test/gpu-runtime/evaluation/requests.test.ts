import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { readRows } from '#gpu-runtime/data/rows.ts'
import {
  promptHash,
  requests,
  requestsHash,
  tokenizeRequest,
} from '#gpu-runtime/evaluation/requests.ts'
import { taskTable } from '#gpu-runtime/evaluation/tasks/table.ts'
import type { Document } from '#gpu-runtime/evaluation/tasks/task.ts'
import { openText, type Text } from '#gpu-runtime/text/text.ts'
import { shared, smollm2, withoutShared } from '../shared.ts'

/** arc_easy and openbookqa do not look at the model's text side. */
const unused = {} as Text
const roomy = { maxPositions: 1000 }

async function documentsOf(task: 'arc_easy' | 'openbookqa', file: string): Promise<Document[]> {
  const documents: Document[] = []
  for await (const { row, value } of readRows(shared(`data/${file}`)))
    documents.push(taskTable[task].document(value, row, unused))
  return documents
}

type Expected = {
  file: string
  n_docs: number
  n_requests: number
  requests_sha256: string
  results: Record<'acc' | 'acc_norm', number>
}

for (const task of ['arc_easy', 'openbookqa'] as const)
  test(
    `${task}: requests and metrics are those of lm-evaluation-harness`,
    { skip: withoutShared },
    async () => {
      // tests/testdata of EleutherAI/lm-evaluation-harness 0.3.0: documents in the order of Random(42), log-likelihoods −random.random()
      const conformance = shared('data/conformance/lm-eval-v0.3.0')
      const json = async (name: string) =>
        JSON.parse(await readFile(join(conformance, name), 'utf8')) as unknown
      const expected = ((await json('expected.json')) as Record<string, Expected>)[task]!
      const order = ((await json('shuffle_seed42_perms.json')) as Record<string, number[]>)[
        expected.n_docs
      ]!
      const bytes = await readFile(join(conformance, 'pseudo_lls_seed42.f64le'))
      const logLikelihoods = new Float64Array(
        bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength),
      )

      const documents = await documentsOf(task, expected.file)
      assert.equal(documents.length, expected.n_docs)
      const shuffled = order.map((i) => documents[i]!)
      const all = shuffled.flatMap(requests)
      assert.equal(all.length, expected.n_requests)
      assert.equal(requestsHash(all), expected.requests_sha256)

      let at = 0
      const right = { acc: 0, acc_norm: 0 }
      for (const { choices, gold, lengths } of shuffled) {
        const scores = [...logLikelihoods.subarray(at, (at += choices.length))]
        const normal = scores.map((score, i) => score / lengths[i]!)
        if (scores.indexOf(Math.max(...scores)) === gold) right.acc++
        if (normal.indexOf(Math.max(...normal)) === gold) right.acc_norm++
      }
      for (const metric of ['acc', 'acc_norm'] as const)
        assert.ok(
          Math.abs(right[metric] / documents.length - expected.results[metric]) < 1e-9,
          metric,
        )
    },
  )

test('the JSON that is hashed is Python’s, escapes included', () => {
  // python3: json.dumps([["é\x7f\u2028🚀\"\\\n\t\x01", " ü"]], sort_keys=True)
  const python = String.raw`[["\u00e9\u007f\u2028\ud83d\ude80\"\\\n\t\u0001", " \u00fc"]]`
  assert.equal(
    requestsHash([['é\x7f\u2028🚀"\\\n\t\x01', ' ü']]),
    createHash('sha256').update(python).digest('hex'),
  )
})

test('a task’s prompt hash depends on every document and on their order', () => {
  const hashes = [promptHash(['a', 'b']), promptHash(['b', 'a']), promptHash(['a'])]
  assert.equal(new Set(hashes).size, 3)
  assert.match(hashes[0]!, /^[0-9a-f]{64}$/)
})

type Reference = {
  requests: Record<
    string,
    Record<'arc_easy' | 'openbookqa', string[]> & { trailing_blanks: [number[], number[]][] }
  >
}
const reference = JSON.parse(
  await readFile(join(import.meta.dirname, '../reference.json'), 'utf8'),
) as Reference

/** [context ids, continuation ids] of each choice, as the harness splits them. */
const split = ({ context, choices, scored }: ReturnType<typeof tokenizeRequest>) =>
  choices.map((ids, i) => {
    const border = ids.length - scored[i]!
    return [[...context, ...ids.slice(0, border)], ids.slice(border)]
  })

for (const name of ['stories260K', 'smollm2'])
  test(`${name}: context and continuations have the tokens that lm-evaluation-harness feeds`, async (t) => {
    const model =
      name === 'smollm2' ? await smollm2() : { directory: shared('data/stories260K/hf-derived') }
    if (withoutShared || model.directory === null)
      return t.skip('reason' in model ? String(model.reason) : String(withoutShared))
    const text = await openText(model.directory)
    const expected = reference.requests[name]!
    for (const task of ['arc_easy', 'openbookqa'] as const) {
      const documents = await documentsOf(task, `nous-normalised/${task}.test.jsonl`)
      for (const [i, sha256] of expected[task].entries()) {
        const { context, choices } = documents[i]!
        const tokens = split(tokenizeRequest(text, context, choices, roomy))
        assert.equal(
          createHash('sha256').update(JSON.stringify(tokens)).digest('hex'),
          sha256,
          `${task} ${i}`,
        )
      }
    }
    assert.deepEqual(
      split(tokenizeRequest(text, 'Once upon a time \n', ['there was', 'a'], roomy)),
      expected.trailing_blanks,
    )
  })

/** One token a character, "cd" and "ce" one token each; BOS is 1 and put first. */
const letters: Text = {
  encode: (text) =>
    (text.match(/→|cd|ce|[^]/g) ?? []).map(
      (token) => ({ '→': 1, cd: 1000, ce: 1001 })[token] ?? token.charCodeAt(0),
    ),
  decode: () => '',
  bosId: 1,
  eosId: 2,
  padId: null,
  addsBos: true,
  vocabularySize: 1002,
  hasTemplate: false,
  render: () => '',
}
const [a, b, c, d, e, f] = [...'abcdef'].map((letter) => letter.charCodeAt(0)) as [
  number,
  number,
  number,
  number,
  number,
  number,
]

test('the context is shared up to where the first encoding parts from it; only tokens beyond the context’s own are scored', () => {
  assert.deepEqual(tokenizeRequest(letters, 'abc', ['d', 'ef', 'f'], roomy), {
    context: [1, a, b],
    choices: [[1000], [1001, f], [c, f]],
    scored: [1, 1, 1], // the first merges as a whole and is scored all the same
    cut: 0,
  })
})

test('blanks at the end of the context belong to the continuations', () => {
  assert.deepEqual(tokenizeRequest(letters, 'ab \n', ['d', 'e'], roomy), {
    context: [1, a, b],
    choices: [
      [32, 10, d],
      [32, 10, e],
    ],
    scored: [3, 3],
    cut: 0,
  })
})

test('BOS is put first when the tokenizer does so, once, and an empty context is BOS or EOS', () => {
  assert.deepEqual(tokenizeRequest(letters, '→a', ['b'], roomy).context, [1, a])
  assert.deepEqual(tokenizeRequest({ ...letters, addsBos: false }, 'a', ['b'], roomy).context, [a])
  assert.deepEqual(tokenizeRequest(letters, '', ['ab'], roomy), {
    context: [1],
    choices: [[a, b]],
    scored: [2],
    cut: 0,
  })
  assert.deepEqual(
    tokenizeRequest({ ...letters, bosId: null, addsBos: false }, '', ['ab'], roomy).context,
    [2],
  )
  assert.throws(
    () =>
      tokenizeRequest({ ...letters, bosId: null, eosId: null, addsBos: false }, '', ['ab'], roomy),
    /an empty context needs a BOS or EOS token/,
  )
})

test('a context of one token that merges is replaced by BOS or EOS', () => {
  const text: Text = { ...letters, addsBos: false, bosId: null }
  assert.deepEqual(tokenizeRequest(text, 'c', ['da', 'ea'], roomy), {
    context: [2],
    choices: [
      [1000, a],
      [1001, a],
    ],
    scored: [1, 1],
    cut: 0,
  })
})

test('a context that is too long loses its beginning; the last token is only predicted', () => {
  const fit = (maxPositions: number) =>
    tokenizeRequest(letters, 'abcabc', ['aa', 'a'], { maxPositions })
  assert.deepEqual(fit(8).context, [1, a, b, c, a, b, c]) // 7 + 2 tokens = 8 inputs and one that is only predicted
  assert.deepEqual([fit(7).context, fit(7).cut], [[a, b, c, a, b, c], 1])
  assert.deepEqual([fit(2).context, fit(2).cut], [[c], 6])
  assert.throws(() => fit(1), {
    name: 'FormatError',
    message: /a choice of 2 tokens, expected at most 1/,
  })
})
