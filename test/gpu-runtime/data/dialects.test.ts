/** Token ids, labels and cuts against TRL's own code of two releases (test/golden/dialects.py). */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createHash } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import test from 'node:test'
import { nllOf, Recipe } from '#schema/spec.ts'
import { answerLength, tokenizePair, type Pair } from '#gpu-runtime/data/pair.ts'
import { toPreference } from '#gpu-runtime/data/preference.ts'
import { openRows } from '#gpu-runtime/data/rows.ts'
import { inProportion } from '#gpu-runtime/data/truncate.ts'
import { openText, type Text } from '#gpu-runtime/text/text.ts'
import { readJson } from '../golden.ts'
import { shared, smollm2, withoutShared } from '../shared.ts'

type Read = [chosen: number[], outside: number, rejected: number[], outside: number]
type Golden = {
  rows: Record<string, object>
  tokenizers: Record<
    string,
    {
      file: string
      settings: object
      cases: {
        row: string
        lengths: [maxLength: number, maxPromptLength: number]
        reads: Record<'TRL_1' | 'TRL_0_8', Read | string>
      }[]
    }
  >
}
const golden = readJson<Golden>('dialects')

/** A model's text side with a tokenizer and settings of the golden file. */
async function open({ file, settings }: Golden['tokenizers'][string]): Promise<Text | null> {
  const path = file.startsWith('$')
    ? shared(file.slice(2))
    : resolve(import.meta.dirname, '../../..', file)
  if (!existsSync(path)) return null
  const directory = await mkdtemp(join(tmpdir(), 'oddsmith-text-'))
  try {
    await copyFile(path, join(directory, 'tokenizer.json'))
    await writeFile(join(directory, 'tokenizer_config.json'), JSON.stringify(settings))
    return await openText(directory)
  } finally {
    await rm(directory, { recursive: true })
  }
}

/** As TRL's columns: whole conversations, and how many of their tokens are not learned as an answer. */
const asRead = (pair: Pair): Read => {
  const outside = (side: 'chosen' | 'rejected') => pair.prompt.length + (pair.lead?.[side] ?? 0)
  return [
    [...pair.prompt, ...pair.chosen],
    outside('chosen'),
    [...pair.prompt, ...pair.rejected],
    outside('rejected'),
  ]
}

/** What these dialects refuse although TRL goes on: an answer of no tokens, prompts of different ends. */
function refusal([chosen, chosenAt, rejected, rejectedAt]: Read): RegExp | null {
  if (chosen.length === chosenAt || rejected.length === rejectedAt)
    return /leaves nothing of the (chosen|rejected) answer: .* Raise maxLength/
  if (chosen[0] !== rejected[0]) return /have no token in common.* Raise maxLength/
  return null
}

const seen = { led: 0, cut: 0, refused: 0, equal: 0 }
for (const [name, tokenizer] of Object.entries(golden.tokenizers)) {
  for (const dialect of ['TRL_1', 'TRL_0_8'] as const) {
    test(`${name}: ids, labels and cuts of every row in dialect ${dialect} are TRL's own`, async (t) => {
      const text = await open(tokenizer)
      if (text === null) return t.skip(String(withoutShared))
      for (const { row, lengths, reads } of tokenizer.cases) {
        const [maxLength, maxPromptLength] = lengths
        const read = reads[dialect]
        const tokenize = (): Pair =>
          tokenizePair(text, toPreference(golden.rows[row], 4), {
            dialect,
            maxLength,
            maxPromptLength,
          })
        const refused = typeof read === 'string' ? /^row 4 / : refusal(read)
        if (refused) {
          assert.throws(tokenize, { name: 'FormatError', message: refused }, `${row}, ${lengths}`)
          seen.refused++
          continue
        }
        const pair = tokenize()
        assert.deepEqual(asRead(pair), read, `${row}, ${lengths}`)
        seen.equal++
        seen.led += Number((pair.lead?.chosen ?? 0) + (pair.lead?.rejected ?? 0) > 0)
        seen.cut += Number(pair.cut.prompt + pair.cut.chosen + pair.cut.rejected > 0)
      }
    })
  }
}

test('the golden rows show what dialects differ in', { skip: withoutShared }, () => {
  assert.ok(
    Object.values(seen).every((n) => n > 3),
    JSON.stringify(seen),
  )
})

test('of the article’s rows each answer has the prompt in it once more, and the ends are doubled', async () => {
  const text = (await open(golden.tokenizers.zoo!))!
  const row = golden.rows['messages and a prompt column of text, as orpo-dpo-mix-40k']!
  const pair = tokenizePair(text, toPreference(row, 0), {
    dialect: 'TRL_0_8',
    maxLength: 1024,
    maxPromptLength: 512,
  })
  const spell = (ids: readonly number[]) => text.decode(ids, { skipSpecial: false })
  const asked = 'Which is bigger, the mouse or the bear?'
  assert.equal(spell(pair.prompt), spell([text.bosId!, ...text.encode(asked)]))
  assert.ok(spell(pair.chosen).includes(spell(text.encode(asked)).slice(-20)), spell(pair.chosen))
  assert.equal(pair.chosen.at(-1), text.eosId)
  assert.equal(pair.chosen.filter((id) => id === text.eosId).length, 3) // user's turn, assistant's turn, TRL's
})

test('300 rows of a real set, with the tokenizer of a real model, are TRL 1.16’s', async (t) => {
  const model = await smollm2()
  if (model.directory === null || withoutShared)
    return t.skip(model.directory === null ? model.reason : String(withoutShared))
  const text = await openText(model.directory)
  const rows = await openRows(shared('data/preference-chatml/dpo_en_demo.chatml.jsonl'))
  const { pairs } = JSON.parse(
    await readFile(join(import.meta.dirname, '../reference.json'), 'utf8'),
  ) as { pairs: { rows: [number, number, number, number, string][] } }
  for (const [row, , , , sha256] of pairs.rows) {
    const { prompt, chosen, rejected, lead } = tokenizePair(
      text,
      toPreference(await rows.read(row), row),
      { dialect: 'TRL_1', maxLength: 1024, maxPromptLength: 512 },
    )
    assert.deepEqual(lead, { chosen: 0, rejected: 0 })
    assert.equal(
      createHash('sha256')
        .update(JSON.stringify([prompt, chosen, rejected]))
        .digest('hex'),
      sha256,
      `row ${row}`,
    )
  }
  await rows.close()
})

// By hand from the rule in LLaMA-Factory's infer_seqlen(source_len, target_len, cutoff_len).
const proportions: [prompt: number, chosen: number, rejected: number, kept: number[]][] = [
  [6, 3, 2, [5, 3, 2]], // answers need less than half: the prompt gives way
  [3, 9, 4, [3, 5, 4]], // the prompt needs less than half: answers give way
  [6, 6, 1, [4, 4, 1]], // both: int(8 · 6 / 12)
  [5, 11, 11, [3, 5, 5]], // int(8 · 11 / 16) = int(5.5)
  [2, 3, 3, [2, 3, 3]],
]
for (const [prompt, chosen, rejected, kept] of proportions)
  test(`LLaMA-Factory cuts ${prompt} + ${chosen} | ${rejected} tokens to ${kept.join(', ')} of 8, all keeping their beginnings`, () => {
    const list = (n: number) => Array.from({ length: n }, (_, i) => i)
    const cut = inProportion(
      { prompt: list(prompt), chosen: list(chosen), rejected: list(rejected) },
      { maxLength: 8 },
    )
    assert.deepEqual(cut, {
      prompt: list(kept[0]!),
      chosen: list(kept[1]!),
      rejected: list(kept[2]!),
    })
  })

test('dialects that share the prompt count what they cut', async () => {
  const text = (await open(golden.tokenizers.zoo!))!
  const preference = toPreference(golden.rows['messages only'], 0)
  for (const dialect of ['ODDSMITH', 'LLAMA_FACTORY'] as const) {
    const [all, kept] = [1024, 14].map((maxLength) =>
      tokenizePair(text, preference, { dialect, maxLength, maxPromptLength: 8 }),
    )
    for (const side of ['prompt', 'chosen', 'rejected'] as const)
      assert.equal(kept![side].length + kept!.cut[side], all![side].length)
    assert.ok(kept!.cut.prompt > 0)
    assert.equal(answerLength(kept!, 'chosen'), kept!.chosen.length)
  }
})

test('a recipe’s likelihood covers what its dialect says, and only ODDSMITH may say otherwise', () => {
  const covered = (recipe: object) => nllOf(Recipe.parse(recipe))
  assert.equal(covered({}), 'PROMPT_AND_CHOSEN')
  assert.equal(covered({ nll: 'CHOSEN' }), 'CHOSEN')
  assert.equal(covered({ dialect: 'TRL_1' }), 'PROMPT_AND_CHOSEN')
  assert.equal(covered({ dialect: 'LLAMA_FACTORY' }), 'CHOSEN')
  assert.equal(covered({ dialect: 'LLAMA_FACTORY', nll: 'CHOSEN' }), 'CHOSEN')
  const refused = Recipe.safeParse({ dialect: 'TRL_0_8', nll: 'CHOSEN' })
  assert.deepEqual(
    refused.error?.issues.map(({ path, message }) => [path, message]),
    [
      [
        ['nll'],
        'expected PROMPT_AND_CHOSEN or nothing with dialect TRL_0_8, got CHOSEN; only ODDSMITH leaves the choice',
      ],
    ],
  )
  // Dialects without a length for prompts do not ask for one that fits.
  assert.ok(Recipe.safeParse({ dialect: 'TRL_1', maxLength: 256 }).success)
  assert.ok(!Recipe.safeParse({ dialect: 'TRL_0_8', maxLength: 256 }).success)
})
