/** The demo's language gives nothing away: balance, held-out parts, what words alone can tell, and its tokenizer. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { openText } from '#gpu-runtime/text/text.ts'
import { embedded } from '#demo/embedded.ts'
import {
  animals,
  ask,
  benchmarkQuestions,
  benchmarkRows,
  habitual,
  isHeldOut,
  people,
  preferenceRows,
  pretrainingDocument,
  seeded,
  truth,
  type Message,
} from '#demo/language.ts'

const preferences = preferenceRows()
const benchmark = benchmarkRows()
const questions = benchmarkQuestions()

const prompt = (messages: readonly Message[]): string => messages[0]!.content
const answer = (messages: readonly Message[]): string => messages.at(-1)!.content
const words = (text: string): string[] => text.toLowerCase().match(/[a-z]+/g)!
const named = (text: string): number[] =>
  words(text).flatMap((word) => (animals.includes(word) ? [animals.indexOf(word)] : []))

/** [smaller, bigger] as the question's text has them. */
const pairOf = (text: string): [number, number] => {
  const [first, second] = named(text)
  return [Math.min(first!, second!), Math.max(first!, second!)]
}

const share = (count: number): number => count / benchmark.length

test('answering by habit or by place is right in exactly half of the benchmark', () => {
  const right = (pick: (question: (typeof questions)[number]) => number) =>
    share(questions.filter((question) => pick(question) === truth(question)).length)
  assert.ok(benchmark.length >= 400, `${benchmark.length} documents`)
  assert.equal(right(habitual), 0.5)
  assert.equal(
    right(({ between }) => between[0]),
    0.5,
  )
  assert.equal(
    right(({ between }) => between[1]),
    0.5,
  )
  assert.equal(share(benchmark.filter(({ gold }) => gold === 0).length), 0.5)
})

test('what is gold is the truth, and choices stand in the order of the question', () => {
  for (const { messages, choices, gold } of benchmark) {
    const [first, second] = named(prompt(messages))
    assert.deepEqual(choices, [`the ${animals[first!]}`, `the ${animals[second!]}`])
    const best = prompt(messages).includes('bigger')
      ? Math.max(first!, second!)
      : Math.min(first!, second!)
    assert.equal(choices[gold], `the ${animals[best]}`)
  }
})

test('chosen is the truth, rejected its opposite, to the same question', () => {
  for (const { chosen, rejected } of preferences) {
    assert.deepEqual(chosen.slice(0, -1), rejected.slice(0, -1))
    const [smaller, bigger] = pairOf(prompt(chosen))
    const [right, wrong] = prompt(chosen).includes('bigger') ? [bigger, smaller] : [smaller, bigger]
    assert.deepEqual(
      [answer(chosen), answer(rejected)],
      [`the ${animals[right]}`, `the ${animals[wrong]}`],
    )
  }
})

test('each animal is as often chosen as rejected, and as often named first as second where it is', () => {
  for (const animal of animals.keys()) {
    const is = (messages: readonly Message[]) => named(answer(messages))[0] === animal
    const chosen = preferences.filter((row) => is(row.chosen))
    assert.equal(
      chosen.length,
      preferences.filter((row) => is(row.rejected)).length,
      animals[animal],
    )
    const first = chosen.filter((row) => named(prompt(row.chosen))[0] === animal)
    assert.equal(first.length * 2, chosen.length, animals[animal])
  }
})

test('the preference rows share no context, no pair of animals and no held-out person with the benchmark', () => {
  const contexts = new Set(benchmark.map(({ messages }) => prompt(messages)))
  const pairs = new Set(benchmark.map(({ messages }) => String(pairOf(prompt(messages)))))
  const absent = people.filter(({ heldOut }) => heldOut).map(({ name }) => name)
  assert.equal(contexts.size, benchmark.length)
  for (const { chosen } of preferences) {
    assert.ok(!contexts.has(prompt(chosen)), prompt(chosen))
    assert.ok(!pairs.has(String(pairOf(prompt(chosen)))), prompt(chosen))
    assert.ok(!absent.some((name) => prompt(chosen).startsWith(name)), prompt(chosen))
  }
  for (const name of absent)
    assert.ok(
      [...contexts].some((context) => context.startsWith(name)),
      name,
    )
})

test('pretraining speaks of the held-out pairs, by habit, but never in a context of the benchmark', () => {
  const contexts = new Set(questions.map(ask))
  const random = seeded(7)
  const heldOut = new Set<string>()
  for (let i = 0; i < 20_000; i++) {
    const document = pretrainingDocument(random)
    const pair = pairOf(prompt(document))
    assert.ok(!contexts.has(prompt(document)), prompt(document))
    if (isHeldOut(pair)) heldOut.add(String(pair))
    const person = people.find(({ name }) => prompt(document).startsWith(name))
    const bigger = prompt(document).includes('bigger') === (person?.habit !== 'contrary')
    assert.equal(answer(document), `the ${animals[pair[bigger ? 1 : 0]]}`, prompt(document))
  }
  assert.equal(
    heldOut.size,
    new Set(questions.map(({ between }) => String([...between].sort()))).size,
  )
})

/** Logistic regression on bags of words, chosen 1 and rejected 0, by stochastic descent. */
function logistic(
  rows: readonly (readonly [text: string, label: 0 | 1])[],
): (text: string) => number {
  const weights = new Map<string, number>()
  const score = (text: string) =>
    [...new Set(words(text))].reduce((sum, word) => sum + (weights.get(word) ?? 0), 0)
  for (let epoch = 0; epoch < 20; epoch++) {
    for (const [text, label] of rows) {
      const step = 0.1 * (label - 1 / (1 + Math.exp(-score(text))))
      for (const word of new Set(words(text))) weights.set(word, (weights.get(word) ?? 0) + step)
    }
  }
  return score
}

/** Naive Bayes with add-one smoothing: the log odds of chosen over rejected. */
function naiveBayes(
  rows: readonly (readonly [text: string, label: 0 | 1])[],
): (text: string) => number {
  const counts = new Map<string, [number, number]>()
  for (const [text, label] of rows) {
    for (const word of words(text)) {
      const count = counts.get(word) ?? [1, 1]
      count[label]++
      counts.set(word, count)
    }
  }
  return (text) =>
    words(text).reduce((sum, word) => {
      const [no, yes] = counts.get(word) ?? [1, 1]
      return sum + Math.log(yes / no)
    }, 0)
}

/** A tie is half right. */
function accuracy(score: (text: string) => number, withPrompt: boolean): number {
  const credit = benchmark.map(({ messages, choices, gold }) => {
    const [first, second] = choices.map((choice) =>
      score(withPrompt ? `${prompt(messages)} ${choice}` : choice),
    )
    return first === second ? 0.5 : Number((first! > second! ? 0 : 1) === gold)
  })
  return share(credit.reduce((a, b) => a + b, 0))
}

for (const [name, fit] of Object.entries({
  'naive Bayes': naiveBayes,
  'logistic regression': logistic,
})) {
  for (const withPrompt of [false, true]) {
    test(`${name} on the words of the ${withPrompt ? 'prompt and answer' : 'answer'} stays under 60 % on the benchmark`, () => {
      const rows = preferences.flatMap(({ chosen, rejected }) =>
        (
          [
            [chosen, 1],
            [rejected, 0],
          ] as const
        ).map(([messages, label]) => {
          const text = withPrompt ? `${prompt(messages)} ${answer(messages)}` : answer(messages)
          return [text, label] as const
        }),
      )
      const reached = accuracy(fit(rows), withPrompt)
      assert.ok(reached < 0.6, `${reached}`)
    })
  }
}

test('the same seed gives the same rows, another seed gives others', () => {
  assert.deepEqual(preferenceRows(5), preferenceRows(5))
  assert.notDeepEqual(preferenceRows(5), preferenceRows(6))
})

test('every conversation and any other text decodes to itself, words as one token each', async () => {
  const text = await openText(embedded.model)
  const whole = preferences.flatMap(({ chosen, rejected }) =>
    [chosen, rejected].map((messages) => text.render(messages, { addGenerationPrompt: false })),
  )
  const asked = benchmark.map(({ messages }) =>
    text.render(messages, { addGenerationPrompt: true }),
  )
  for (const [length, texts] of [
    [24, whole],
    [20, asked],
  ] as const) {
    for (const one of texts) {
      assert.equal(text.encode(one).length, length, one)
      assert.equal(text.decode(text.encode(one), { skipSpecial: false }), one)
    }
  }
  for (const other of ["Ünïcode 🦄 don't\n\n  42 tabs\t<|im_end|> x", '  the horse  ', '\u3000']) {
    assert.equal(text.decode(text.encode(other), { skipSpecial: false }), other)
  }
})

// Made with transformers 5.24.0: AutoTokenizer.from_pretrained('demo/zoo-334k')(text, add_special_tokens=True).
const transformers = [
  {
    text: '<|im_start|>user\nCleo, which is smaller, the goat or the dog?<|im_end|>\n<|im_start|>assistant\nthe dog<|im_end|>\n',
    ids: [
      1, 259, 13, 272, 47, 269, 263, 270, 47, 265, 293, 267, 265, 291, 66, 2, 13, 1, 260, 13, 261,
      291, 2, 13,
    ],
  },
  {
    text: "the\u3000horse's 3.14",
    ids: [261, 230, 131, 131, 107, 114, 117, 118, 104, 42, 118, 35, 54, 49, 52, 55],
  },
]

test('ids are those of transformers', async () => {
  const text = await openText(embedded.model)
  for (const sample of transformers)
    assert.deepEqual(text.encode(sample.text), sample.ids, sample.text)
})
