import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { canonicalRow, checksum, rowsDiffer } from '#gpu-runtime/data/canonicalRows.ts'
import { fileNames, hubText, mmluSubjects, sourceKey, sources } from '#schema/sources.ts'
import { tasks } from '#schema/tasks.ts'
import { directoryOf } from '../files/directory.ts'
import { shared, withoutShared } from '../shared.ts'

const golden = (name: string) => join(import.meta.dirname, '../../golden/rows', name)

test('a canonical row has sorted keys, numbers as text and nothing that is null', () => {
  const row = { b: { '12': 1.5, a: true, '3': null }, a: [null, 'ü"\n', 2], other: 1 }
  assert.equal(
    canonicalRow(row, ['b', 'a', 'none']),
    '{"a":[null,"ü\\"\\n","2"],"b":{"12":"1.5","a":"true"}}',
  )
  const listed = { choice0: 'x', choice1: '', answer: '1' }
  assert.equal(
    canonicalRow(listed, ['choices', 'answer']),
    canonicalRow({ choices: ['x', ''], answer: 1 }, ['answer', 'choices']),
  )
})

test('the same rows have one checksum in JSONL, Parquet and CSV', async (t) => {
  const columns = ['question', 'choices', 'kwargs', 'label', 'id', 'comment', 'scores']
  const jsonl = await checksum(golden('rows.jsonl'), columns)
  assert.equal(jsonl.rows, 5)
  assert.deepEqual(await checksum(golden('datasets.parquet'), columns), jsonl)
  const folder = await directoryOf(t, {
    'rows.csv': 'question,choice0,choice1,answer\n"a, b",x,y,1\nc,z,w,0\n',
    'rows.jsonl':
      '{"answer": 1, "id": 9, "question": "a, b", "choices": ["x", "y"]}\n{"question": "c", "choices": ["z", "w"], "answer": 0}\n',
  })
  const mmlu = ['question', 'choices', 'answer']
  const csv = await checksum(join(folder, 'rows.csv'), mmlu)
  assert.deepEqual(await checksum(join(folder, 'rows.jsonl'), mmlu), csv)
  const text =
    '{"answer":"1","choices":["x","y"],"question":"a, b"}\n{"answer":"0","choices":["z","w"],"question":"c"}\n'
  assert.equal(csv.sha256, createHash('sha256').update(text).digest('hex'))
})

test(
  'other rows than a source’s are told by number and by hash',
  { skip: withoutShared },
  async (t) => {
    const file = shared('data/nous-normalised/openbookqa.test.jsonl')
    assert.equal(await rowsDiffer('openbookqa/test', file), null)
    assert.equal(await rowsDiffer('not_a_source/test', file), null)
    assert.match(
      (await rowsDiffer('arc_easy/test', file))!,
      /openbookqa.test.jsonl: these are not the rows of arc_easy\/test \(allenai\/ai2_arc\): expected 2376 rows, got 500$/,
    )
    const folder = await directoryOf(t, {
      'anatomy.csv': `question,choice0,choice1,choice2,choice3,answer\n${'q,a,b,c,d,0\n'.repeat(135)}`,
    })
    assert.match(
      (await rowsDiffer('mmlu_anatomy/test', join(folder, 'anatomy.csv')))!,
      /expected canonical rows with sha256 a2e62e98\w+, got \w{64}$/,
    )
  },
)

test(
  'the files that are there hold the rows of their sources',
  { skip: withoutShared },
  async () => {
    const roots = [shared('data'), shared('data/nous-normalised')]
    let found = 0
    for (const [key, source] of sources) {
      const paths = roots.flatMap((root) => fileNames(source).map((name) => join(root, name)))
      const file = paths.find((path) => existsSync(path))
      if (file === undefined) {
        assert.equal(source.sha256, null, key)
        continue
      }
      assert.match(source.sha256!, /^[0-9a-f]{64}$/, key)
      assert.equal(await rowsDiffer(key, file), null)
      found++
    }
    assert.ok(found >= 90, `${found} sources`)
  },
)

test('the sources are whole: the Nous suite, MMLU, and what each task of the catalogue names', () => {
  const subjects = Object.values(mmluSubjects)
  assert.equal(subjects.length, 57)
  assert.equal(
    subjects.reduce((sum, n) => sum + n),
    14_042,
  ) // hendrycks/test
  const keys = [...sources.keys()]
  assert.equal(keys.filter((key) => key.startsWith('mmlu_')).length, 114)
  const total = (pattern: RegExp) =>
    keys.filter((key) => pattern.test(key)).reduce((sum, key) => sum + sources.get(key)!.rows, 0)
  // the documents that the harness counts: 8 tasks of AGIEval, 18 of BIG-bench, 7 of GPT4All
  assert.equal(total(/^agieval_/), 2546)
  assert.equal(total(/^bigbench_/) - 750 + 300, 13_089) // where one file stands for two
  assert.equal(
    total(/^(hellaswag|winogrande|boolq|piqa)\/validation|^(arc_\w+|openbookqa)\/test/),
    20_465,
  )
  for (const [task, { rows, examples }] of tasks)
    for (const name of [rows, examples ?? rows])
      assert.ok(task === 'who_is_bigger' || sourceKey(name) !== null, name)
  for (const [task, { rows, source }] of tasks) assert.ok(source ?? hubText(rows), task)
  assert.equal(
    hubText('arc_easy.test.jsonl'),
    'allenai/ai2_arc@210d026, ARC-Easy, test: 2,376 rows',
  )
  assert.equal(hubText('agieval_sat_en.jsonl'), 'dmayhem93/agieval-sat-en, test: 206 rows')
  assert.equal(
    sourceKey('bigbench/logical_deduction_three_objects.json'),
    'bigbench_logical_deduction_three_objects/default',
  )
  assert.equal(sourceKey('arc_easy/test'), 'arc_easy/test')
  for (const [key, { hub }] of sources)
    if (hub !== null && hub.revision !== null) assert.match(hub.revision, /^[0-9a-f]{40}$/, key)
})
