import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { tokenizePair } from '#gpu-runtime/data/pair.ts'
import { keepEnds } from '#gpu-runtime/data/truncate.ts'
import { toPreference } from '#gpu-runtime/data/preference.ts'
import { openRows } from '#gpu-runtime/data/rows.ts'
import { openText, type Text } from '#gpu-runtime/text/text.ts'
import { FormatError } from '#gpu-runtime/error.ts'
import { shared, smollm2, withoutShared } from '../shared.ts'

/**
 * A text side that a reader can hold in the head: one token a character (its code), "→" and "." BOS
 * and EOS, "cd" one token.
 */
const letters: Text = {
  encode: (text) =>
    (text.match(/cd|[^]/g) ?? []).map((token) => (token === 'cd' ? 1000 : token.charCodeAt(0))),
  decode: (ids) => ids.map((id) => (id === 1000 ? 'cd' : String.fromCharCode(id))).join(''),
  bosId: '→'.charCodeAt(0),
  eosId: '.'.charCodeAt(0),
  padId: null,
  addsBos: false,
  vocabularySize: 1001,
  hasTemplate: true,
  render: (messages, { addGenerationPrompt }) =>
    messages
      .map(({ role, content }) => `${role[0]}${content}${role === 'user' ? '|' : '.\n'}`)
      .join('') + (addGenerationPrompt ? 'a' : ''),
}
const long = { dialect: 'ODDSMITH', maxLength: 100, maxPromptLength: 50 } as const
const row = (prompt: string, chosen: string, rejected: string) =>
  toPreference({ prompt, chosen, rejected }, 5)
const spell = (ids: readonly number[]) => letters.decode(ids, { skipSpecial: false })

test('an answer is what its conversation has beyond the prompt with its generation prompt; BOS is first, EOS stays single', () => {
  const pair = tokenizePair(letters, row('hi', 'yes', 'no'), long)
  assert.equal(spell(pair.prompt), '→uhi|a')
  assert.equal(spell(pair.chosen), 'yes.\n') // as ChatML: EOS and a line break is an end already
  assert.equal(spell(pair.rejected), 'no.\n')
  assert.deepEqual([pair.row, pair.cut], [5, { prompt: 0, chosen: 0, rejected: 0 }])
})

test('BOS is not doubled, and EOS is appended where the template has none', () => {
  const text: Text = {
    ...letters,
    render: (messages, { addGenerationPrompt }) =>
      `→${messages.map((m) => m.content).join('|')}${addGenerationPrompt ? '|' : ''}`,
  }
  const pair = tokenizePair(text, row('hi', 'yes', 'n.o'), long)
  assert.deepEqual(
    [spell(pair.prompt), spell(pair.chosen), spell(pair.rejected)],
    ['→hi|', 'yes.', 'n.o.'],
  )
})

test('a tokenizer without BOS and EOS adds neither', () => {
  const pair = tokenizePair({ ...letters, bosId: null, eosId: null }, row('hi', 'yes', 'no'), long)
  assert.deepEqual([spell(pair.prompt), spell(pair.chosen)], ['uhi|a', 'yes.\n'])
})

test('a token that merges over the border belongs to the answers', () => {
  const text: Text = { ...letters, render: (messages) => messages.map((m) => m.content).join('') }
  const pair = tokenizePair(text, row('abc', 'de', 'f'), long)
  assert.deepEqual(
    [spell(pair.prompt), spell(pair.chosen), spell(pair.rejected)],
    ['→ab', 'cde.', 'cf.'],
  )
  assert.equal(pair.chosen[0], 1000)
})

test('a template whose generation prompt is not how an answer begins shares what it can', () => {
  const text: Text = {
    ...letters,
    render: (messages, { addGenerationPrompt }) =>
      messages.map((m) => m.content).join('|') + (addGenerationPrompt ? '|<think>' : ''),
  }
  const pair = tokenizePair(text, row('hi', 'yes', 'no'), long)
  assert.deepEqual([spell(pair.prompt), spell(pair.chosen)], ['→hi|', 'yes.'])
})

test('a template that drops the answers, or refuses the messages, is reported with the row', () => {
  const drops: Text = { ...letters, render: () => 'x' }
  assert.throws(() => tokenizePair(drops, row('hi', 'yes', 'no'), long), {
    name: 'FormatError',
    message: /^row 5 .*an answer has no tokens beyond the prompt/,
  })
  const refuses: Text = {
    ...letters,
    render: () => {
      throw new FormatError('roles must alternate')
    },
  }
  assert.throws(() => tokenizePair(refuses, row('hi', 'yes', 'no'), long), {
    name: 'FormatError',
    message: /^row 5 .*: roles must alternate/,
  })
})

const B = 100
const E = 101
const ends = { bosId: B, eosId: E }

test('the worked example of the doc comment', () => {
  const ids = { prompt: [B, 1, 2, 3, 4, 5], chosen: [6, 7, 8, 9, E], rejected: [6, E] }
  assert.deepEqual(keepEnds(ids, { maxLength: 8, maxPromptLength: 4 }, ends), {
    prompt: [B, 3, 4, 5],
    chosen: [6, 7, 8, E],
    rejected: [6, E],
  })
})

test('a pair that fits is left alone, however long its prompt is', () => {
  const ids = { prompt: [B, 1, 2, 3, 4, 5], chosen: [6, E], rejected: [7, E] }
  assert.deepEqual(keepEnds(ids, { maxLength: 8, maxPromptLength: 4 }, ends), ids)
})

test('ChatML’s line break after the end of turn stays with it', () => {
  const ids = { prompt: [B, 1], chosen: [2, 3, 4, 5, 6, E, 10], rejected: [2, E, 10] }
  assert.deepEqual(keepEnds(ids, { maxLength: 6, maxPromptLength: 2 }, ends).chosen, [2, 3, E, 10])
})

test('whatever the lengths: nothing is empty, nothing is too long, and ends survive', () => {
  const list = (n: number, last: number[]) => [
    ...Array.from({ length: n }, (_, i) => i + 1),
    ...last,
  ]
  for (const maxLength of [2, 3, 4, 8, 16])
    for (let maxPromptLength = 1; maxPromptLength < maxLength; maxPromptLength++)
      for (const p of [0, 1, 5, 20])
        for (const c of [1, 2, 7, 30])
          for (const r of [1, 9])
            for (const tail of [[], [E], [E, 10]]) {
              const ids = {
                prompt: [B, ...list(p, [])],
                chosen: list(c, tail),
                rejected: list(r, tail),
              }
              const kept = keepEnds(ids, { maxLength, maxPromptLength }, ends)
              const room = maxLength - kept.prompt.length
              for (const side of ['prompt', 'chosen', 'rejected'] as const)
                assert.ok(kept[side].length > 0)
              assert.ok(kept.chosen.length <= room && kept.rejected.length <= room)
              if (kept.prompt.length < ids.prompt.length)
                assert.ok(kept.prompt.length <= maxPromptLength)
              if (kept.prompt.length > 1) assert.equal(kept.prompt[0], B)
              assert.equal(kept.chosen[0], 1)
              if (room > tail.length)
                assert.deepEqual(kept.chosen.slice(kept.chosen.length - tail.length), tail)
              if (kept.chosen.length < ids.chosen.length)
                assert.equal(kept.chosen.length, room, 'no token is cut that would have fitted')
            }
})

test('the ids of a real model and real rows are TRL’s', async (t) => {
  const model = await smollm2()
  if (model.directory === null || withoutShared)
    return t.skip(model.directory === null ? model.reason : String(withoutShared))
  const text = await openText(model.directory)
  const rows = await openRows(shared('data/preference-chatml/dpo_en_demo.chatml.jsonl'))
  const reference = JSON.parse(
    await readFile(join(import.meta.dirname, '../reference.json'), 'utf8'),
  ) as {
    pairs: { rows: [number, number, number, number, string][] }
  }
  assert.equal(reference.pairs.rows.length, 202) // of 300: those that fit into 1024 tokens
  for (const [row, prompt, chosen, rejected, sha256] of reference.pairs.rows) {
    const pair = tokenizePair(text, toPreference(await rows.read(row), row), {
      dialect: 'ODDSMITH',
      maxLength: 1024,
      maxPromptLength: 512,
    })
    // ChatML ends in EOS and a line break, after which TRL appends EOS once more.
    const trl = [pair.prompt, [...pair.chosen, text.eosId!], [...pair.rejected, text.eosId!]]
    assert.deepEqual(
      trl.map((ids) => ids.length),
      [prompt, chosen, rejected],
      `row ${row}`,
    )
    assert.equal(
      createHash('sha256').update(JSON.stringify(trl)).digest('hex'),
      sha256,
      `row ${row}`,
    )
    assert.deepEqual(pair.cut, { prompt: 0, chosen: 0, rejected: 0 })
  }
  await rows.close()
})
