/**
 * The wire between api and runtime. A runtime knows a URL and its attempt's token (ODDSMITH_URL, ODDSMITH_TOKEN) and speaks,
 * with `authorization: Bearer <token>`:
 *
 *   GET  /runtime/job                     Job
 *   POST /runtime/events                  EventBatch -> Acknowledgement; an empty batch only renews the lease
 *   PUT  /runtime/artifacts?kind=&name=&step=&sha256=   bytes -> ArtifactRef; the answer means: on disk, checksummed
 *   GET  /runtime/artifacts/:id           bytes
 *   POST /runtime/known                   KnownQuestion -> KnownAnswer: which documents need no computing; their samples are stored
 *
 * Tokens are `<run id>.<secret>`; the api keeps only the secret's hash, one per attempt.
 * 401: no such token. 409: the attempt is no longer the run's current one; the runtime must stop.
 */
import { z } from 'zod'
import { DatasetRef, EvaluationSettings, Recipe, RunSpec } from './spec.ts'

export const Subject = z.enum(['BASE', 'ADAPTER'])
export type Subject = z.infer<typeof Subject>

/** Rows that an adapter was trained on, and by which recipe: that says which of them it saw. */
const Training = z.object({ dataset: DatasetRef, recipe: Recipe })
export type Training = z.infer<typeof Training>

/** A document that shares words with rows of a training. */
const Contaminated = z.object({
  /** 0-based row in the task's file. */
  document: z.number().int().nonnegative(),
  /** The part of its words that lie in shared runs of words. */
  overlap: z.number().positive().max(1),
  /** The first row that has such a run, 0-based, and the sha256 of its file. */
  row: z.number().int().nonnegative(),
  dataset: z.string(),
})
export type Contaminated = z.infer<typeof Contaminated>

/** One thing to score: a subject on a task. `key` names it in events. */
export const EvaluationOrder = z.object({
  key: z.string(),
  subject: Subject,
  settings: EvaluationSettings,
  rows: z.string(),
  /** Solved examples for few-shot prompts. */
  examples: z.string().nullable().default(null),
  /** Documents are scored in random order, part after part; `look` says each, and the answer may be that it is enough. */
  sequential: z.boolean().optional(),
})
export type EvaluationOrder = z.infer<typeof EvaluationOrder>

export const ArtifactKind = z.enum(['ADAPTER', 'CHECKPOINT'])

export const ArtifactRef = z.object({
  id: z.uuid(),
  kind: ArtifactKind,
  /** File name, such as adapter_model.safetensors. */
  name: z.string(),
  sha256: z.string(),
  bytes: z.number(),
  step: z.number().int().nullable(),
})
export type ArtifactRef = z.infer<typeof ArtifactRef>

export const Job = z.object({
  runId: z.uuid(),
  attempt: z.number().int(),
  spec: RunSpec,
  /** The newest acknowledged checkpoint of an earlier attempt. */
  checkpoint: ArtifactRef.nullable(),
  /** The adapter's files: of the run to evaluate, or of an earlier attempt of this run whose training had ended. */
  adapter: z.array(ArtifactRef),
  /** The files of the adapter that training starts from. */
  start: z.array(ArtifactRef).default([]),
  /** What is still to be scored: what the api already has is left out. */
  evaluations: z.array(EvaluationOrder),
  /** What the adapter has been trained on, last things first: by its own run, and by those of the adapters that it goes on from. */
  trainedOn: z.array(Training).default([]),
  leaseSeconds: z.number(),
})
export type Job = z.infer<typeof Job>

/** A score that is not finite is sent as null. */
const real = z.number().nullable()

export const Choice = z.object({
  /** Sum of the log-likelihoods of its tokens, in nats. */
  logLikelihood: real,
  tokens: z.number().int(),
  /** Whether each of its tokens was the likeliest; absent where nobody asked. */
  greedy: z.boolean().optional(),
})

export const Sample = z.object({
  /** 0-based row in the task's file. */
  document: z.number().int().nonnegative(),
  /** sha256 over the rendered requests of this document. */
  hash: z.string(),
  /** As in KnownQuestion; samples without it are of no use to other evaluations. */
  content: z.string().optional(),
  /** Index of the right choice, or the first of them; null where there is nothing to choose. */
  gold: z.number().int().nullable(),
  picked: z.number().int().nullable(),
  choices: z.array(Choice),
  /** Metric name to score: 0 or 1 for accuracies, a log-likelihood for perplexities. */
  scores: z.record(z.string(), real),
  /** What a score counts for in a quotient of sums, where that is not 1: words, bytes, instructions. */
  weights: z.record(z.string(), z.number()).optional(),
  /** The end of the question, and the beginnings of the choices or of the expected answer, for people. */
  question: z.string().max(2000),
  answers: z.array(z.string().max(400)),
  /** What the model wrote, where it was asked to write. */
  response: z.string().max(8192).optional(),
})
export type Choice = z.infer<typeof Choice>
export type Sample = z.infer<typeof Sample>

/** What one document asks: log-likelihoods of continuations after contexts, of a whole text, or a response. */
export const PreviewRequest = z.object({
  /** Null where a whole text is scored. */
  context: z.string().nullable(),
  /** What is scored behind the context; null where a response is written. */
  continuation: z.string().nullable(),
  contextTokens: z.array(z.number().int()),
  continuationTokens: z.array(z.number().int()),
})
export const PreviewDocument = z.object({
  document: z.number().int().nonnegative(),
  hash: z.string(),
  requests: z.array(PreviewRequest),
  /** Where a response is written: what ends it, and how many tokens it may have. */
  until: z.array(z.string()),
  maxTokens: z.number().int().nullable(),
  gold: z.number().int().nullable(),
  answers: z.array(z.string()),
})
export type PreviewDocument = z.infer<typeof PreviewDocument>

/** What an INSPECT run finds. */
export const Preview = z.object({
  /** Of all that would be asked. */
  documents: z.number().int(),
  promptHash: z.string(),
  shown: z.array(PreviewDocument),
})
export type Preview = z.infer<typeof Preview>

const body = {
  started: z.object({
    runtime: z.string(),
    device: z.string(),
    threads: z.number().int(),
    resumedFromStep: z.number().int().nullable(),
  }),
  /** What the runtime is doing now. */
  phase: z.object({ phase: z.enum(['PREPARE', 'TRAIN', 'EVALUATE']) }),
  log: z.object({
    level: z.enum(['debug', 'info', 'warn', 'error']),
    message: z.string().max(8192),
  }),
  /** What became of the dataset's rows; the first step has begun. */
  dataset: z.object({
    rows: z.number().int(),
    train: z.number().int(),
    test: z.number().int(),
    steps: z.number().int(),
  }),
  /** What the recipe's lengths cut, known a while after the start. */
  cuts: z.object({
    /** Pairs that were tokenized for this: all that training visits, or the first thousand of them. */
    looked: z.number().int(),
    /** Pairs of these in which something was cut, and tokens cut. */
    pairs: z.number().int(),
    tokens: z.number().int(),
  }),
  /** Values of one optimizer step; null is a value that is not finite, and fails the run. */
  metrics: z.object({ step: z.number().int(), values: z.record(z.string(), real) }),
  progress: z.object({
    phase: z.enum(['TRAIN', 'EVALUATE']),
    done: z.number(),
    total: z.number(),
    unit: z.string(),
    tokensPerSecond: real,
    etaSeconds: real,
  }),
  checkpoint: z.object({ step: z.number().int(), artifact: z.uuid() }),
  /** Training ended; the adapter's files are stored. */
  adapter: z.object({
    artifacts: z.array(z.uuid()).min(1),
    sha256: z.string(),
    parameters: z.number().int(),
    /** The optimizer step after which it was taken. */
    step: z.number().int().nonnegative().optional(),
  }),
  evaluation: z.object({ key: z.string(), promptHash: z.string(), documents: z.number().int() }),
  samples: z.object({ key: z.string(), samples: z.array(Sample).max(500) }),
  /** After all samples of an evaluation: its documents were looked for in what the adapter was trained on. Those that are not named share nothing. */
  contamination: z.object({ key: z.string(), documents: z.array(Contaminated).max(500) }),
  /**
   * Of a sequential order, the adapter's: these documents were drawn next, in this order, and the samples of all of them have been
   * sent. Which these are does not depend on any score.
   */
  look: z.object({ key: z.string(), documents: z.array(z.number().int().nonnegative()).max(500) }),
  /** `stopped`: the api had enough before all documents were scored. */
  evaluated: z.object({
    key: z.string(),
    documents: z.number().int(),
    stopped: z.boolean().optional(),
  }),
  inspected: z.object({ preview: Preview }),
  /** The last event of an attempt is one of these three. */
  finished: z.object({ summary: z.record(z.string(), real) }),
  failed: z.object({
    /** INPUT: the user's data or model; ENGINE: ours; NON_FINITE: a term of the loss left the numbers. */
    code: z.enum(['INPUT', 'ENGINE', 'NON_FINITE']),
    message: z.string().max(8192),
  }),
  interrupted: z.object({
    reason: z.enum(['CANCELED', 'SIGTERM']),
    step: z.number().int().nullable(),
  }),
}

const event = <T extends keyof typeof body>(type: T) =>
  z.object({
    /** 1, 2, 3, ... within the attempt. */
    seq: z.number().int().positive(),
    at: z.iso.datetime(),
    type: z.literal(type),
    body: body[type],
  })

export const RunEvent = z.discriminatedUnion('type', [
  event('started'),
  event('phase'),
  event('log'),
  event('dataset'),
  event('cuts'),
  event('metrics'),
  event('progress'),
  event('checkpoint'),
  event('adapter'),
  event('evaluation'),
  event('samples'),
  event('contamination'),
  event('look'),
  event('evaluated'),
  event('inspected'),
  event('finished'),
  event('failed'),
  event('interrupted'),
])
export type RunEvent = z.infer<typeof RunEvent>
export type EventType = RunEvent['type']
export type EventBody<T extends EventType> = Extract<RunEvent, { type: T }>['body']

export const EventBatch = z.object({ events: z.array(RunEvent).max(1000) })
export type EventBatch = z.infer<typeof EventBatch>

/**
 * Asked about an evaluation that has begun, as often as it has documents for. Those that an earlier attempt scored are known, and
 * those that any evaluation of equal weights was asked in the same way.
 */
export const KnownQuestion = z.object({
  key: z.string().max(200),
  documents: z
    .array(
      z.object({
        document: z.number().int().min(0).max(0x7fffffff),
        /** sha256 over all that a document brings to its sample: its requests, the right answers, what people see of it. */
        content: z.string().regex(/^[0-9a-f]{64}$/, 'expected a lower-case sha256 in hex'),
      }),
    )
    .max(5000),
})
export type KnownQuestion = z.infer<typeof KnownQuestion>

/** Documents of the question. */
export const KnownAnswer = z.object({ known: z.array(z.number().int()) })
export type KnownAnswer = z.infer<typeof KnownAnswer>

export const Acknowledgement = z.object({
  /** The highest seq that is stored; the runtime may forget everything up to it. */
  acknowledged: z.number().int().nonnegative(),
  leaseSeconds: z.number(),
  /** Somebody asked for the end: write a checkpoint, say `interrupted`, exit. */
  cancel: z.boolean(),
  /** Sequential orders that need no more documents: end them. Absent: none. */
  enough: z.array(z.string()).optional(),
})
export type Acknowledgement = z.infer<typeof Acknowledgement>
