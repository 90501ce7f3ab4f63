/** Evaluation of subjects on one task: batches of requests to the scorer, its answers to samples. */
import type { Choice, Sample } from '#schema/protocol.ts'
import { NonFinite } from '../error.ts'
import { ahead } from '../inference/ahead.ts'
import type { ChoiceScore, Scorer } from '../inference/score.ts'
import { treeTokens } from '../inference/trees.ts'
import { planBatches, treesOf, type Asked, type Batch } from './plan.ts'
import { nameOf, type Prepared, type PreparedDocument } from './prepare.ts'
import {
  judgeChoices,
  type ChoiceDocument,
  type Judged,
  type RollingDocument,
} from './tasks/task.ts'

/** Samples by subject, in the scorer's order; each subject gets each document once. */
export type Scored = { readonly samples: readonly Sample[][]; readonly tokens: number }

/** A part of an evaluation: of every `count` batches the one at `index`. */
export type Shard = { readonly index: number; readonly count: number }

export const whole: Shard = { index: 0, count: 1 }

/**
 * Score in batches; samples come as soon as all of a document's requests are answered. An aborted
 * signal ends it after a batch. `wanted` are the places in `documents` to score; null for the shard's.
 */
export async function* evaluate(
  prepared: Prepared,
  scorer: Scorer,
  tokenBudget: number,
  signal: AbortSignal,
  shard: Shard = whole,
  wanted: ReadonlySet<number> | null = null,
): AsyncGenerator<Scored> {
  const { documents } = prepared
  const open = new Map<number, ChoiceScore[][][]>()
  const all = batchesOf(prepared, tokenBudget, shard)
  const batches = wanted === null ? all : left(all, wanted, tokenBudget)
  for await (const [batch, answers] of ahead(batches, (b) => scorer.score(treesOf(b)))) {
    const asked = batch.flatMap(({ items }) => items)
    const done: number[] = []
    asked.forEach(({ document, part }, i) => {
      const parts = open.get(document) ?? []
      parts[part] = answers.map((bySubject) => bySubject[i]!)
      open.set(document, parts)
      if (parts.filter(Boolean).length === documents[document]!.scored.length) done.push(document)
    })
    yield {
      samples: answers.map((_, subject) =>
        done.map((d) =>
          sample(
            prepared,
            documents[d]!,
            open.get(d)!.flatMap((part) => part[subject]!),
          ),
        ),
      ),
      tokens: batch.reduce((n, tree) => n + treeTokens(tree), 0),
    }
    for (const d of done) open.delete(d)
    if (signal.aborted) return
  }
}

/**
 * Batches of a shard. They are laid out for the whole task, whoever takes which. A document whose
 * requests fell into several batches is whole in one shard, that of its first batch, where what lies
 * in other shards' batches is laid out anew; no score depends on what else is in its batch, so that
 * the shards' answers together are those of an undivided evaluation, bit for bit.
 */
export function batchesOf(
  { documents }: Prepared,
  tokenBudget: number,
  { index, count }: Shard = whole,
): readonly Batch[] {
  const asked = documents.flatMap(({ scored }, document) =>
    scored.map((request, part): Asked => ({ document, part, request })),
  )
  const batches = planBatches(asked, tokenBudget)
  if (count === 1) return batches
  const shardOf = new Map<number, number>()
  batches.forEach((batch, i) => {
    for (const d of documentsIn(batch)) if (!shardOf.has(d)) shardOf.set(d, i % count)
  })
  const mine = new Set([...shardOf.keys()].filter((d) => shardOf.get(d) === index))
  return left(batches, mine, tokenBudget)
}

const documentsIn = (batch: Batch): number[] =>
  batch.flatMap(({ items }) => items.map(({ document }) => document))

/** The places in `documents` that a shard scores, in order. */
export function documentsOf(prepared: Prepared, tokenBudget: number, shard: Shard): number[] {
  if (shard.count === 1) return [...prepared.documents.keys()]
  const { documents } = prepared
  const mine = new Set(batchesOf(prepared, tokenBudget, shard).flatMap(documentsIn))
  // What asks for no scores is in no batch.
  return [...documents.keys()].filter((d) =>
    documents[d]!.scored.length > 0 ? mine.has(d) : d % shard.count === shard.index,
  )
}

/**
 * What is left of batches when only some documents are wanted. A batch that is wanted as a whole stays
 * as it is; the rest of the others is laid out anew.
 */
function left(
  batches: readonly Batch[],
  wanted: ReadonlySet<number>,
  tokenBudget: number,
): readonly Batch[] {
  const isWhole = (batch: Batch) => documentsIn(batch).every((d) => wanted.has(d))
  const rest = batches
    .filter((batch) => !isWhole(batch))
    .flatMap((batch) => batch.flatMap(({ items }) => items))
    .filter(({ document }) => wanted.has(document))
  return [...batches.filter(isWhole), ...planBatches(rest, tokenBudget)]
}

/** A model that computes NaN must not get a score that looks like one. */
function expectFinite(where: string, scores: readonly ChoiceScore[]): void {
  const choice = scores.findIndex((s) => !Number.isFinite(s.logLikelihood))
  if (choice === -1) return
  throw new NonFinite(
    `${where}: the log-likelihood of choice ${choice} is ${scores[choice]!.logLikelihood}; expected finite numbers. Are the weights whole?`,
  )
}

function sample(
  prepared: Prepared,
  prepareds: PreparedDocument,
  scores: readonly ChoiceScore[],
): Sample {
  const { document } = prepareds
  expectFinite(nameOf(prepared, prepareds), scores)
  const { scores: values, weights, picked = null } = judge(prepared, document, scores)
  return {
    ...identityOf(prepareds),
    picked,
    choices: scores.map((s): Choice => ({
      logLikelihood: s.logLikelihood,
      tokens: s.tokens.length,
      ...('greedy' in prepared.task ? { greedy: s.greedy } : {}),
    })),
    scores: { ...values },
    ...(weights === undefined ? {} : { weights: { ...weights } }),
  }
}

function judge(
  { task }: Prepared,
  document: PreparedDocument['document'],
  scores: readonly ChoiceScore[],
): Judged {
  switch (task.kind) {
    case 'loglikelihood_rolling':
      return task.judge(
        document as RollingDocument,
        scores.reduce((sum, s) => sum + s.logLikelihood, 0),
      )
    case 'multiple_choice':
    case 'loglikelihood':
      return task.judge?.(document, scores) ?? judgeChoices(document as ChoiceDocument, scores)
    case 'generate_until':
      throw new Error('internal: responses are not scored by likelihood')
  }
}

/** What a sample says of its document, whatever was answered. */
export const identityOf = ({ index, hash, content, document }: PreparedDocument) => ({
  document: index,
  hash,
  content,
  ...facesOf(document),
})

/** A text that databases take, which know neither U+0000 nor half a surrogate pair. */
export const storable = (text: string): string => text.replaceAll('\0', '\ufffd').toWellFormed()

/** What people see of a document; of choices that differ in what comes before them, that too. */
export function facesOf(
  document: PreparedDocument['document'],
): Pick<Sample, 'gold' | 'question' | 'answers'> {
  const { text } = document
  const question = typeof text === 'string' ? text : commonWords(text)
  const shown = storable(question.slice(-2000))
  if (!('choices' in document))
    return {
      gold: null,
      question: shown,
      answers: 'target' in document ? [storable(document.target.slice(0, 400))] : [],
    }
  const own = (i: number) => (typeof text === 'string' ? '' : `${text[i]!.slice(question.length)} `)
  const answers = document.choices.map((c, i) => storable((own(i) + c).trim().slice(0, 400)))
  return { gold: document.gold[0] ?? null, question: shown, answers }
}

/** What all texts begin with, up to a blank. */
function commonWords([first = '', ...others]: readonly string[]): string {
  const differs = first.split('').findIndex((c, i) => others.some((text) => text[i] !== c))
  return first.slice(0, first.lastIndexOf(' ', differs === -1 ? first.length : differs) + 1)
}
