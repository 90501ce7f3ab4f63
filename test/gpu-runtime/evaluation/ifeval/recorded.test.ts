/**
 * Verdicts on 1,082 responses of two models, beside lm-evaluation-harness's own (seeded) and those that
 * M-IFEval's checker, the authors' one extended, recorded when the responses were made.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import test from 'node:test'
import { verify } from '#gpu-runtime/evaluation/ifeval/verify.ts'
import { readJson } from '../../golden.ts'
import { shared, withoutShared } from '../../shared.ts'

type Row = { key: number; prompt: string; instruction_id_list: string[]; kwargs: object[] }
type Recorded = {
  prompt: string
  response: string
  instruction_id_list: string[]
  follow_instruction_list: boolean[]
}

const lines = <T>(file: string): T[] =>
  readFileSync(shared(`data/ifeval/${file}`), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as T)

const { recorded } = readJson<{ recorded: Record<string, string> }>('ifeval')
const llama = 'hugging-quants__Meta-Llama-3.1-8B-Instruct-AWQ-INT4'
const mistral = 'mistralai__Mistral-7B-Instruct-v0.3'

type Pair = readonly [strict: boolean, loose: boolean]
type Judged = { key: number; id: string; ours: Pair; theirs: Pair }

function judged(model: string): Judged[] {
  const rows = lines<Row>('input_data.jsonl')
  const strict = lines<Recorded>(`m-ifeval-results/${model}.strict.jsonl`)
  const loose = lines<Recorded>(`m-ifeval-results/${model}.loose.jsonl`)
  assert.equal(rows.length, strict.length)
  return rows.flatMap((row, i) => {
    const { response, instruction_id_list, follow_instruction_list } = strict[i]!
    const ids = row.instruction_id_list
    assert.deepEqual(
      instruction_id_list,
      ids.map((id) => `en:${id}`),
    )
    assert.equal(loose[i]!.response, response)
    const ours = verify(ids, row.kwargs, row.prompt, response)
    return ids.map((id, k) => ({
      key: row.key,
      id,
      ours: [ours.strict[k]!, ours.loose[k]!] as const,
      theirs: [follow_instruction_list[k]!, loose[i]!.follow_instruction_list[k]!] as const,
    }))
  })
}

for (const model of [llama, mistral])
  test(`${model}: all verdicts are lm-evaluation-harness’s`, { skip: withoutShared }, () => {
    const digits = judged(model).map(({ ours: [strict, loose] }, i) =>
      // It takes a random letter where it should count `#` (prompt 1122) or `!` (1129).
      recorded[model]![i] === '?' ? '?' : Number(strict) + 2 * Number(loose),
    )
    assert.equal(digits.length, 834)
    assert.equal(digits.filter((digit) => digit === '?').length, 2)
    assert.equal(digits.join(''), recorded[model])
  })

const differences = (model: string) =>
  judged(model).filter(({ ours, theirs }) => ours.join() !== theirs.join())

/** langdetect and the random letter are why: of 1,668 instructions these four, each looked at. */
test('verdicts are the recorded ones but for four', { skip: withoutShared }, () => {
  assert.deepEqual(differences(llama), [
    // The prompt was another one then: it asked for one placeholder, not three; the response has one.
    {
      key: 2785,
      id: 'detectable_content:number_placeholders',
      ours: [false, false],
      theirs: [true, true],
    },
    // Without its first and last line the response is three names in capitals, of which langdetect sees
    // the first letters: English in 11 of 50 seeds, the first among them, Spanish in the others.
    { key: 3617, id: 'change_case:english_capital', ours: [false, true], theirs: [false, false] },
  ])
  assert.deepEqual(differences(mistral), [
    // `#` is to be counted, and the response has the four asked for. The recording took random letters:
    // what passed as it is failed among eight variants, the first of which is the response as it is.
    { key: 1122, id: 'keywords:letter_frequency', ours: [true, true], theirs: [true, false] },
    // Without its last line the response is a line of Gujarati and its transcription: Gujarati in 11 of 50
    // seeds, Finnish in the others.
    { key: 3112, id: 'language:response_language', ours: [false, false], theirs: [false, true] },
  ])
})
