import assert from 'node:assert/strict'
import { mkdir, rename, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { eq, sql } from 'drizzle-orm'
import { query } from '#api/database.ts'
import { Conflict, InvalidInput, LimitExceeded, NotFound } from '#api/problem.ts'
import { createEvaluation, createTraining, type TrainInput } from '#api/runs/create.ts'
import { retryRun } from '#api/runs/retry.ts'
import { cancelRun } from '#api/runs/cancel.ts'
import { RunSpec } from '#schema/spec.ts'
import { adapters, baseModels, runs } from '#schema/tables.ts'
import { testContext } from '#test/support/context.ts'
import { makeActor, makeFiles, safetensors, trainInput } from '#test/support/input.ts'

const files = await makeFiles()
const ctx = await testContext({ roots: [files.root], benchmarkRoots: [files.root] })
const actor = await makeActor(ctx.db)

const issuesOf = async (promise: Promise<unknown>) => {
  const problem = await promise.then(
    () => assert.fail('expected InvalidInput'),
    (error: unknown) => error,
  )
  assert.ok(problem instanceof InvalidInput, String(problem))
  return problem.issues
}

test('a training is stored with the recipe’s defaults and everything pinned by content', async () => {
  const run = await createTraining(ctx, actor, trainInput(files, { recipe: { beta: 0.2 } }))
  assert.equal(run.status, 'QUEUED')
  assert.deepEqual(RunSpec.parse(run.spec), run.spec)
  assert.ok(run.spec.kind === 'TRAIN')
  assert.equal(run.spec.recipe.beta, 0.2)
  assert.equal(run.spec.recipe.learningRate, 8e-6)
  // sha256 of the line that makeFiles writes, by coreutils' sha256sum.
  assert.equal(
    run.spec.dataset.sha256,
    '995503466427177baba50d5b301671935a077c1e8584dbcdba6e1e9fc21647b8',
  )
  const [model] = await ctx.db.select().from(baseModels).where(eq(baseModels.id, run.baseModelId))
  assert.deepEqual(
    [model!.name, model!.family, model!.parameters, model!.dtype],
    ['model', 'llama', 6, 'F32'],
  )
})

test('the same key with the same input is the same run, also twenty at once; with other input it is a conflict', async () => {
  const input = trainInput(files)
  const all = await Promise.all(Array.from({ length: 20 }, () => createTraining(ctx, actor, input)))
  assert.equal(new Set(all.map(({ id }) => id)).size, 1)
  const { evaluate, dataset, model, idempotencyKey } = input
  const reordered = { evaluate: evaluate!, dataset, model, idempotencyKey, name: null }
  assert.equal((await createTraining(ctx, actor, reordered)).id, all[0]!.id)
  await assert.rejects(createTraining(ctx, actor, { ...input, priority: 1 }), Conflict)
  const other = await makeActor(ctx.db, 'somebody else')
  assert.notEqual((await createTraining(ctx, other, input)).id, all[0]!.id)
})

test('wrong fields are named by their paths, all at once', async () => {
  const wrong = trainInput(files, {
    recipe: { beta: -1, maxPromptLength: 2000 },
    lora: { dropout: 1 },
    evaluate: { tasks: [{ task: 'chess' as 'arc_easy' }] },
  })
  const paths = (await issuesOf(createTraining(ctx, actor, wrong))).map(({ path }) =>
    path.join('.'),
  )
  assert.deepEqual(paths.sort(), [
    'evaluate.tasks.0.task',
    'lora.dropout',
    'recipe.beta',
    'recipe.maxPromptLength',
  ])
  const typo = trainInput(files, { recipe: { learning_rate: 1 } as never })
  assert.match((await issuesOf(createTraining(ctx, actor, typo)))[0]!.message, /learning_rate/)
})

test('what is scored during training is said with how often, and is what likelihood scores', async () => {
  const wrong = async (evaluate: TrainInput['evaluate']) =>
    (await issuesOf(createTraining(ctx, actor, trainInput(files, { evaluate })))).map(
      ({ path, message }) => `${path.join('.')}: ${message}`,
    )
  assert.deepEqual(await wrong({ limit: 10 }), [
    "evaluate.limit: expected it with every only; a task's own limit is beside its name, got 10",
  ])
  assert.deepEqual(await wrong({ every: 0.2 }), [
    'evaluate.every: expected tasks, which are scored during training; suites are not, got 0.2',
  ])
  assert.match(
    (await wrong({ every: 1.5, tasks: [{ task: 'arc_easy' }] }))[0]!,
    /^evaluate\.every: expected a fraction below 1 or a whole number of steps/,
  )
  assert.match(
    (await wrong({ every: 5, tasks: [{ task: 'arc_easy' }, { task: 'gsm8k' }] }))[0]!,
    /^evaluate\.tasks\.1\.task: expected tasks that are scored by likelihood with every, got gsm8k/,
  )
})

test('paths outside the roots are refused before anything is looked at', async () => {
  for (const path of [
    '/etc',
    join(files.root, '..'),
    `${files.root}/../../etc`,
    'relative',
    '',
    'a\0b',
  ]) {
    const issues = await issuesOf(
      createTraining(ctx, actor, trainInput(files, { model: { path } })),
    )
    assert.deepEqual(issues[0]!.path, ['model', 'path'])
    assert.match(issues[0]!.message, /expected a directory inside/)
    assert.doesNotMatch(issues[0]!.message, /there is no/)
  }
})

test('links that lead out of the roots are refused: the directory, a file in it, and the dataset', async () => {
  const escaped = join(files.root, 'escaped')
  await symlink('/etc', escaped)
  assert.match(
    (
      await issuesOf(createTraining(ctx, actor, trainInput(files, { model: { path: escaped } })))
    )[0]!.message,
    /leads out/,
  )

  const half = join(files.root, 'half')
  await mkdir(half)
  await writeFile(join(half, 'config.json'), '{"model_type":"llama"}')
  await writeFile(join(half, 'model.safetensors'), safetensors({ w: [1] }))
  await symlink('/etc/passwd', join(half, 'tokenizer.json'))
  assert.match(
    (await issuesOf(createTraining(ctx, actor, trainInput(files, { model: { path: half } }))))[0]!
      .message,
    /leads out/,
  )

  const rows = join(files.root, 'rows.jsonl')
  await symlink('/etc/passwd', rows)
  const stolen = await issuesOf(
    createTraining(ctx, actor, trainInput(files, { dataset: { path: rows } })),
  )
  assert.deepEqual(
    [stolen[0]!.path, /leads out/.test(stolen[0]!.message)],
    [['dataset', 'path'], true],
  )
})

test('a link that stays inside the roots is followed, as in the Hub’s cache', async () => {
  const snapshot = join(files.root, 'snapshot')
  await mkdir(snapshot)
  for (const name of ['config.json', 'tokenizer.json', 'model.safetensors'])
    await symlink(join('..', 'model', name), join(snapshot, name))
  const linked = await createTraining(ctx, actor, trainInput(files, { model: { path: snapshot } }))
  const plain = await createTraining(ctx, actor, trainInput(files))
  assert.equal(linked.spec.model.revision, plain.spec.model.revision)
  assert.equal(linked.baseModelId, plain.baseModelId)
})

test('a model of another family is refused by name, and a broken one by what is wrong with it', async () => {
  const bad = async (name: string, content: Readonly<Record<string, string | Buffer>>) => {
    const path = join(files.root, name)
    await mkdir(path)
    for (const [file, text] of Object.entries(content)) await writeFile(join(path, file), text)
    return (await issuesOf(createTraining(ctx, actor, trainInput(files, { model: { path } }))))[0]!
      .message
  }
  const good = {
    'config.json': '{"model_type":"llama"}',
    'tokenizer.json': '{}',
    'model.safetensors': safetensors({ w: [1] }),
  }
  assert.match(
    await bad('mamba', { ...good, 'config.json': '{"model_type":"mamba"}' }),
    /expected model_type to be one of llama, .*, got "mamba"/,
  )
  assert.match(
    await bad('no-json', { ...good, 'config.json': 'hello' }),
    /expected a JSON object with model_type/,
  )
  assert.match(
    await bad('short', { ...good, 'model.safetensors': 'x' }),
    /model.safetensors: expected a safetensors header/,
  )
  assert.match(
    await bad('huge', { ...good, 'model.safetensors': Buffer.alloc(64, 0xff) }),
    /expected a safetensors header/,
  )
  assert.match(await bad('empty', {}), /there is no config.json/)
})

test('a changed file is another revision, and a cached fingerprint does not hide the change', async () => {
  const path = join(files.root, 'pairs2.jsonl')
  await writeFile(path, 'one')
  const first = await createTraining(ctx, actor, trainInput(files, { dataset: { path } }))
  await writeFile(`${path}.new`, 'two')
  await rename(`${path}.new`, path)
  const second = await createTraining(ctx, actor, trainInput(files, { dataset: { path } }))
  assert.notEqual(first.datasetId, second.datasetId)
})

test('when too many runs wait, another is refused', async () => {
  const [{ waiting }] = (await query<{ waiting: number }>(
    ctx.db,
    sql`select count(*)::int as waiting from runs where status = 'QUEUED'`,
  )) as [{ waiting: number }]
  const full = {
    ...ctx,
    config: { ...ctx.config, limits: { ...ctx.config.limits, queuedRuns: waiting } },
  }
  await assert.rejects(createTraining(full, actor, trainInput(files)), LimitExceeded)
})

test('an adapter is evaluated on its own base model, and on no other', async () => {
  const trained = await createTraining(ctx, actor, trainInput(files))
  const [adapter] = await ctx.db
    .insert(adapters)
    .values({
      name: 'mine',
      runId: trained.id,
      baseModelId: trained.baseModelId,
      sha256: 'a'.repeat(64),
      parameters: 1,
      r: 16,
      alpha: 32,
      targetModules: [],
    })
    .returning()
  const tasks = [{ task: 'who_is_bigger' as const, limit: 3 }]
  const run = await createEvaluation(ctx, actor, {
    idempotencyKey: 'evaluate',
    adapterId: adapter!.id,
    tasks,
  })
  assert.ok(run.spec.kind === 'EVALUATE')
  assert.deepEqual(run.spec.adapter, { id: adapter!.id, sha256: 'a'.repeat(64) })
  assert.equal(run.baseModelId, trained.baseModelId)

  const other = join(files.root, 'other')
  await mkdir(other)
  await writeFile(join(other, 'config.json'), '{"model_type":"llama"}')
  await writeFile(join(other, 'tokenizer.json'), '{}')
  await writeFile(join(other, 'model.safetensors'), safetensors({ w: [7] }))
  const mixed = { idempotencyKey: 'mixed', adapterId: adapter!.id, model: { path: other }, tasks }
  assert.match(
    (await issuesOf(createEvaluation(ctx, actor, mixed)))[0]!.message,
    /expected the adapter's base model/,
  )
  await assert.rejects(
    createEvaluation(ctx, actor, { ...mixed, idempotencyKey: 'none', adapterId: trained.id }),
    NotFound,
  )
  assert.deepEqual(
    (await issuesOf(createEvaluation(ctx, actor, { idempotencyKey: 'x', tasks })))[0]!.path,
    ['model'],
  )
})

test('only a failed or canceled run can be retried, and only while its files are what they were', async () => {
  const path = join(files.root, 'pairs3.jsonl')
  await writeFile(path, 'three')
  const run = await createTraining(ctx, actor, trainInput(files, { dataset: { path } }))
  await assert.rejects(retryRun(ctx, actor, { id: run.id, idempotencyKey: 'retry' }), Conflict)
  await cancelRun(ctx, actor, run.id)
  const again = await retryRun(ctx, actor, { id: run.id, idempotencyKey: 'retry' })
  assert.deepEqual([again.retryOf, again.status, again.spec], [run.id, 'QUEUED', run.spec])
  assert.equal((await retryRun(ctx, actor, { id: run.id, idempotencyKey: 'retry' })).id, again.id)
  await writeFile(path, 'four!')
  await assert.rejects(
    retryRun(ctx, actor, { id: run.id, idempotencyKey: 'later' }),
    /has changed since/,
  )
  assert.equal((await ctx.db.select().from(runs).where(eq(runs.retryOf, run.id))).length, 1)
})
