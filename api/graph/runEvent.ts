/** What happens in a run: read page by page, or followed as it happens. */
import { and, asc, eq, gt } from 'drizzle-orm'
import { z } from 'zod'
import type { RunStatus } from '#schema/lifecycle.ts'
import type { EventBody, EventType } from '#schema/protocol.ts'
import { events } from '#schema/tables.ts'
import { isLive } from '../accounts/keys.ts'
import { NotFound } from '../problem.ts'
import { tail, type StoredEvent } from '../runs/tail.ts'
import { blame } from './blame.ts'
import { builder, unauthenticated } from './builder.ts'
import type { GraphContext } from './context.ts'
import { rowId } from './id.ts'
import { RunStatusType, RunType } from './run.ts'
import { stoppable } from './stoppable.ts'

const member = { member: true }

const EventSource = builder.enumType('EventSource', {
  description: 'Who says it.',
  values: {
    API: { description: 'This api: status changes, cancellations.' },
    RUNTIME: { description: 'The runtime that works on the run.' },
    LAUNCHER: { description: 'What starts runtimes: their output, their end.' },
  },
})

const Phase = builder.enumType('Phase', {
  description: 'What a runtime is doing.',
  values: { TRAIN: { description: 'It trains.' }, EVALUATE: { description: 'It scores.' } },
})

/** The body of a runtime's event, whose shape was checked when it came; null for events of another type. */
function bodyOf<T extends EventType>(event: StoredEvent, wanted: T): EventBody<T> | null
function bodyOf({ source, type, body }: StoredEvent, wanted: EventType): unknown {
  return source === 'RUNTIME' && type === wanted ? body : null
}

type ProgressShape = EventBody<'progress'> & { readonly at: Date }

const Progress = builder.objectRef<ProgressShape>('Progress').implement({
  description: 'How far a runtime is.',
  authScopes: member,
  fields: (t) => ({
    phase: t.expose('phase', { type: Phase, description: 'What it is doing.' }),
    done: t.exposeFloat('done', { description: 'How much is done.' }),
    total: t.exposeFloat('total', { description: 'Of how much.' }),
    unit: t.exposeString('unit', { description: 'Of what: steps, documents.' }),
    tokensPerSecond: t.exposeFloat('tokensPerSecond', {
      nullable: true,
      description: 'How fast it goes.',
    }),
    etaSeconds: t.exposeFloat('etaSeconds', {
      nullable: true,
      description: 'How long it will still take.',
    }),
    at: t.expose('at', { type: 'DateTime', description: 'When it said so.' }),
  }),
})

type MetricValueShape = { readonly name: string; readonly value: number | null }

const MetricValue = builder.objectRef<MetricValueShape>('MetricValue').implement({
  description: 'One value of one curve.',
  authScopes: member,
  fields: (t) => ({
    name: t.exposeString('name', {
      description: "The curve's name, such as loss or rewards/margins.",
    }),
    value: t.exposeFloat('value', {
      nullable: true,
      description: 'The value; null where it was not finite.',
    }),
  }),
})

const RunEventType = builder.objectRef<StoredEvent>('RunEvent').implement({
  description:
    'Something that happened in a run. Common things have fields of their own; body has everything.',
  authScopes: member,
  fields: (t) => ({
    cursor: t.exposeInt('cursor', {
      description: '1, 2, 3, ... within the run: pass the last one you saw as after.',
    }),
    attempt: t.exposeInt('attempt', { description: 'The attempt in which it happened.' }),
    source: t.expose('source', { type: EventSource, description: 'Who says it.' }),
    type: t.exposeString('type', {
      description: 'What kind of thing: status, metrics, progress, log, evaluated, ...',
    }),
    at: t.expose('at', { type: 'DateTime', description: 'When it happened.' }),
    body: t.expose('body', { type: 'JSON', description: 'All of it.' }),
    status: t.field({
      type: RunStatusType,
      nullable: true,
      description: "The run's new status, where this is a change of it.",
      resolve: ({ source, type, body }) =>
        source === 'API' && type === 'status' ? (body['to'] as RunStatus) : null,
    }),
    step: t.int({
      nullable: true,
      description: 'The optimizer step, where it is about one.',
      resolve: (event) => {
        const { success, data } = z.object({ step: z.number().int() }).safeParse(event.body)
        return success ? data.step : null
      },
    }),
    metrics: t.field({
      type: [MetricValue],
      nullable: true,
      description: "The step's values, where this is about a step.",
      resolve: (event) => {
        const body = bodyOf(event, 'metrics')
        return body && Object.entries(body.values).map(([name, value]) => ({ name, value }))
      },
    }),
    progress: t.field({
      type: Progress,
      nullable: true,
      description: 'How far the runtime is, where this says it.',
      resolve: (event) => {
        const body = bodyOf(event, 'progress')
        return body && { ...body, at: event.at }
      },
    }),
    message: t.string({
      nullable: true,
      description: 'What it says, where it is a line of a log or a failure.',
      resolve: ({ body }) => (typeof body['message'] === 'string' ? body['message'] : null),
    }),
  }),
})

type EventPage = {
  readonly nodes: readonly StoredEvent[]
  readonly after: number
  readonly more: boolean
}

const RunEventPage = builder.objectRef<EventPage>('RunEventPage').implement({
  description: 'Events of a run, in order.',
  authScopes: member,
  fields: (t) => ({
    nodes: t.field({
      type: [RunEventType],
      description: 'The events.',
      resolve: ({ nodes }) => [...nodes],
    }),
    after: t.exposeInt('after', {
      description: 'Pass it as after to go on, here or in the subscription.',
    }),
    more: t.exposeBoolean('more', {
      description: 'Whether some that have happened are still to come.',
    }),
  }),
})

const after = z.number().int().nonnegative({ error: 'expected 0 or the cursor of an event' })
const first = z.number().int().min(1).max(1000)

builder.drizzleObjectFields(RunType, (t) => ({
  progress: t.field({
    type: Progress,
    nullable: true,
    description: 'The last that its runtime said about how far it is.',
    select: {
      with: { events: { where: { type: 'progress' }, orderBy: { cursor: 'desc' }, limit: 1 } },
    },
    resolve: ({ events: [last] }) => {
      const body = last && bodyOf(last, 'progress')
      return body ? { ...body, at: last!.at } : null
    },
  }),
  events: t.field({
    type: RunEventPage,
    description: 'What happened in it, from the beginning.',
    args: {
      after: t.arg.int({
        required: true,
        defaultValue: 0,
        validate: after,
        description: 'Only what has a higher cursor.',
      }),
      first: t.arg.int({
        required: true,
        defaultValue: 100,
        validate: first,
        description: 'How many, 1 to 1000.',
      }),
    },
    complexity: (args) => ({ field: 1, multiplier: Math.max(1, args.first / 10) }),
    resolve: async ({ id }, args, { db }) => {
      const found = await db
        .select()
        .from(events)
        .where(and(eq(events.runId, id), gt(events.cursor, args.after)))
        .orderBy(asc(events.cursor))
        .limit(args.first + 1)
      const nodes = found.slice(0, args.first)
      return { nodes, after: nodes.at(-1)?.cursor ?? args.after, more: found.length > nodes.length }
    },
  }),
}))

/** A stream outlives the check that opened it, so the key is asked for again, at most once a second. */
async function* follow(
  ctx: GraphContext,
  runId: string,
  from: number,
  signal: AbortSignal,
): AsyncGenerator<StoredEvent> {
  let checked = Date.now()
  try {
    for await (const event of tail(ctx, runId, { after: from, signal })) {
      if (Date.now() - checked > 1000) {
        if (!(await isLive(ctx, ctx.caller!.keyId))) throw unauthenticated()
        checked = Date.now()
      }
      yield event
    }
  } catch (error) {
    blame(error, runId)
  }
}

builder.subscriptionField('runEvents', (t) =>
  t.field({
    type: RunEventType,
    authScopes: member,
    description:
      'Everything that has a higher cursor than after, then everything that happens, until the run has ended.',
    args: {
      id: t.arg.id({ required: true, description: "The run's id." }),
      after: t.arg.int({
        required: true,
        defaultValue: 0,
        validate: after,
        description: 'The last cursor you saw: a client that comes back misses nothing.',
      }),
    },
    subscribe: async (_root, args, ctx) => {
      const runId = rowId('Run', args.id)
      const run = await ctx.db.query.runs.findFirst({ columns: { id: true }, where: { id: runId } })
      if (run === undefined) throw new NotFound(`no run ${runId}`)
      return stoppable((signal) => follow(ctx, runId, args.after, signal))
    },
    resolve: (event) => event,
  }),
)
