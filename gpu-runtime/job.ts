/** A job from its beginning to its last event: train if it says so, score what is still to be scored. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ArtifactRef, Job } from '#schema/protocol.ts'
import type { LoraSpec, TrainSpec } from '#schema/spec.ts'
import { expectPinned, inFile } from './data/pinned.ts'
import { openRows } from './data/rows.ts'
import { findCard, placementOf, usableMemory } from './device.ts'
import { FormatError } from './error.ts'
import { lora, sizesOf } from './lora/lora.ts'
import { adapterFiles, hasAddedRows, loadAdapter, saveAdapter } from './lora/peft.ts'
import { withAddedTokens } from './models/addedTokens.ts'
import { inNf4, openCheckpoint, type Checkpoint } from './models/checkpoint.ts'
import { Engine } from './onnx/engine.ts'
import { openProbe } from './benchmarks.ts'
import type { Client } from './client.ts'
import { lookForContamination } from './contamination.ts'
import type { Reporter } from './report.ts'
import { inspect } from './inspect.ts'
import { openChatMl, tokenizerFiles } from './text/chatMl.ts'
import { openText } from './text/text.ts'
import { whole } from './evaluation/run.ts'
import { cacheFolder } from './quantization/store.ts'
import { prepareAll, scoreAll } from './scoring.ts'
import { Pairs, type PairSource } from './training/pairs.ts'
import type { Probe } from './training/probe.ts'
import { loadState, saveState, type TrainingState } from './training/state.ts'
import { threadsOf, train } from './training/train.ts'
import type { Adapter, Bench } from './workbench.ts'

/** How a job ended, short of an error. */
export type Ending =
  | { readonly type: 'finished'; readonly summary: Record<string, number> }
  | { readonly type: 'interrupted'; readonly step: number | null }

/** Throws FormatError for bad input and NonFinite for a diverged training; all else is our own fault. */
export async function work(
  job: Job,
  client: Client,
  report: Reporter,
  signal: AbortSignal,
): Promise<Ending> {
  const { spec } = job
  report.event('phase', { phase: 'PREPARE' })
  if (spec.kind === 'INSPECT') {
    report.event('inspected', { preview: await inspect(spec, signal) })
    return { type: 'finished', summary: {} }
  }
  const [checkpoint, text] = await Promise.all([
    openBase(spec, report, signal),
    openText(spec.model.path),
  ])
  if (text.vocabularySize > checkpoint.config.vocabulary) {
    throw new FormatError(
      `${checkpoint.directory}: the tokenizer has ids up to ${text.vocabularySize - 1}, the model's vocabulary is ${checkpoint.config.vocabulary}`,
    )
  }
  const chatMl = text.hasTemplate ? null : await openChatMl(spec.model.path)
  const found = await findCard()
  const { card } = found
  if (card === null && found.problem !== null)
    report.event('log', { level: 'warn', message: `computing on the CPU: ${found.problem}` })
  const engine = new Engine(threadsOf(spec), placementOf(card, spec.engine.compute))
  const scratch = await mkdtemp(join(tmpdir(), 'oddsmith-'))
  const bench = { client, report, signal, checkpoint, text, chatMl, engine, card, scratch }
  try {
    const summary: Record<string, number> = {}
    let adapter: Adapter | null = null
    // Before any training: a bad benchmark row is found now and not after hours.
    const prepared = await prepareAll(job.evaluations, bench)
    if (job.adapter.length > 0) {
      adapter = await fetchAdapter(job.adapter, bench)
      started(report, engine, null)
    } else if (spec.kind === 'TRAIN') {
      const probe = await openProbe(spec, grown(bench), bench)
      const ending = await trainAdapter(job, spec, bench, probe)
      if ('step' in ending) return { type: 'interrupted', step: ending.step }
      adapter = ending.adapter
      Object.assign(summary, ending.summary)
    } else {
      started(report, engine, null)
    }
    const { tokenBudget } = spec.engine
    const shard = (spec.kind === 'EVALUATE' ? spec.shard : null) ?? whole
    const contamination = await lookForContamination(job.trainedOn, prepared, bench)
    if (signal.aborted) return { type: 'interrupted', step: null }
    const options = { tokenBudget, shard }
    const documents = await scoreAll(prepared, options, adapter, contamination, bench)
    if (documents === null) return { type: 'interrupted', step: null }
    return { type: 'finished', summary: { ...summary, documents } }
  } finally {
    await engine.close()
    await rm(scratch, { recursive: true, force: true })
  }
}

/** The base model as the spec wants it held. */
async function openBase(
  { model, quantization }: Pick<TrainSpec, 'model' | 'quantization'>,
  report: Reporter,
  signal: AbortSignal,
): Promise<Checkpoint> {
  const stored = await openCheckpoint(model.path)
  if (quantization === 'NONE') return stored
  return await inNf4(stored, {
    revision: model.revision,
    cache: cacheFolder(process.env),
    signal,
    begin: (file) =>
      report.event('log', { level: 'info', message: `quantizing ${model.path} to ${file}` }),
  })
}

function started(report: Reporter, engine: Engine, resumedFromStep: number | null): void {
  report.event('started', {
    runtime: `node ${process.version}, onnxruntime`,
    device: engine.device,
    threads: engine.threads,
    resumedFromStep,
  })
}

async function trainAdapter(
  job: Job,
  spec: TrainSpec,
  bench: Bench,
  probe: Probe | null,
): Promise<{ step: number } | { adapter: Adapter; summary: Record<string, number> }> {
  const { client, report, signal, engine, card, scratch, chatMl } = bench
  const checkpoint = grown(bench)
  let resume: TrainingState | null = null
  if (job.checkpoint) {
    const path = join(scratch, 'resume.safetensors')
    await client.download(job.checkpoint, path)
    const sizes = sizesOf(lora(checkpoint.config, spec.lora).trainables)
    resume = await loadState(path, sizes, spec.recipe)
  }
  const start = resume === null && spec.adapter !== null ? await startOf(job, spec, bench) : null
  started(report, engine, resume?.step ?? null)
  const { path, sha256 } = spec.dataset
  await expectPinned(path, sha256)
  const rows = await inFile(path, () => openRows(path))
  try {
    if (rows.count === 0)
      throw new FormatError(`${path}: no rows, expected at least one preference`)
    const tokenized = new Pairs(rows, chatMl?.text ?? bench.text, spec.recipe)
    const pairs: PairSource = {
      count: rows.count,
      get: (row) => inFile(path, () => tokenized.get(row)),
      check: (row) => inFile(path, () => tokenized.check(row)),
    }
    let stopped = resume?.step ?? 0
    const memory = card ? usableMemory(card) : process.availableMemory()
    for await (const event of train({
      spec,
      checkpoint,
      pairs,
      engine,
      start,
      resume,
      memory,
      probe,
      signal,
    })) {
      switch (event.type) {
        case 'dataset': {
          const { type: _, ...body } = event
          report.event('dataset', body)
          report.event('phase', { phase: 'TRAIN' })
          break
        }
        case 'cuts':
          report.event('cuts', event.cuts)
          break
        case 'metrics':
          report.event('metrics', { step: event.step, values: event.values })
          break
        case 'progress': {
          const { done, total, tokensPerSecond, etaSeconds } = event
          report.event('progress', {
            phase: 'TRAIN',
            done,
            total,
            unit: 'steps',
            tokensPerSecond,
            etaSeconds,
          })
          break
        }
        case 'state': {
          stopped = event.state.step
          const file = join(scratch, 'checkpoint.safetensors')
          await saveState(file, event.state)
          const { id } = await client.upload(file, { kind: 'CHECKPOINT', step: stopped })
          report.event('checkpoint', { step: stopped, artifact: id })
          break
        }
        case 'trained': {
          const { trainables: flat, steps, step, best, stopped } = event
          const say = (message: string) => report.event('log', { level: 'info', message })
          const metric = spec.recipe.keepBest?.metric
          if (stopped)
            say(
              `stopped after step ${steps}: ${metric} gained nothing in ${best!.waited} evaluations`,
            )
          if (best) say(`kept the adapter of step ${step}, the best by ${metric}: ${best.value}`)
          await storeAdapter({ spec: spec.lora, flat, checkpoint }, step, spec, bench)
          // As any other process will read it: rows of added tokens are stored in the base's type.
          const adapter = { ...(await loadAdapter(scratch, checkpoint)), checkpoint }
          return { adapter, summary: { steps, ...(best ? { bestStep: step } : {}) } }
        }
      }
    }
    return { step: stopped }
  } finally {
    await rows.close()
  }
}

/** What training goes on from. The api has checked all this; files may have changed since. */
async function startOf(
  { start }: Job,
  spec: TrainSpec,
  bench: Bench,
): Promise<Float32Array<ArrayBuffer>> {
  const scratch = join(bench.scratch, 'start')
  await mkdir(scratch)
  const weights = start.find(({ name }) => name === 'adapter_model.safetensors')
  const { id, sha256 } = spec.adapter!
  if (weights?.sha256 !== sha256)
    throw new FormatError(
      `adapter ${id}: expected weights of sha256 ${sha256}, got ${weights?.sha256 ?? 'none'}`,
    )
  const found = await fetchAdapter(start, { ...bench, scratch })
  const of = ({ r, alpha, rslora, targetModules }: LoraSpec) =>
    JSON.stringify({ r, alpha, rslora, targetModules: targetModules.toSorted() })
  if (of(found.spec) !== of(spec.lora))
    throw new FormatError(`adapter ${id}: expected ${of(spec.lora)}, got ${of(found.spec)}`)
  return found.flat
}

/** The checkpoint that a new adapter is trained on: the base's, with room for the tokens that ChatML adds. */
const grown = ({ checkpoint, chatMl }: Bench): Checkpoint =>
  chatMl === null || chatMl.addedTokens === 0 ? checkpoint : withAddedTokens(checkpoint, chatMl)

async function storeAdapter(
  { spec, flat, checkpoint }: Adapter,
  step: number,
  run: TrainSpec,
  { client, report, chatMl, scratch }: Bench,
): Promise<void> {
  await saveAdapter(scratch, checkpoint, spec, flat, run.model.path)
  await chatMl?.save(scratch)
  const stored: ArtifactRef[] = []
  for (const name of [...adapterFiles, ...(chatMl === null ? [] : tokenizerFiles)])
    stored.push(await client.upload(join(scratch, name), { kind: 'ADAPTER', name }))
  const { sha256 } = stored.find(({ name }) => name === 'adapter_model.safetensors')!
  const artifacts = stored.map(({ id }) => id)
  report.event('adapter', { artifacts, sha256, parameters: flat.length, step })
}

async function fetchAdapter(files: readonly ArtifactRef[], bench: Bench): Promise<Adapter> {
  const { client, scratch } = bench
  const known: readonly string[] = [...adapterFiles, ...tokenizerFiles]
  for (const file of files) {
    if (!known.includes(file.name))
      throw new FormatError(`adapter file ${file.name}: expected one of ${known.join(', ')}`)
    await client.download(file, join(scratch, file.name))
  }
  const checkpoint = (await hasAddedRows(scratch)) ? grown(bench) : bench.checkpoint
  return { ...(await loadAdapter(scratch, checkpoint)), checkpoint }
}
