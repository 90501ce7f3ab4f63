/** Curves: the metrics of a run, one SQL query for all that are asked for. */
import type { Pool } from 'pg'
import { z } from 'zod'
import { builder } from './builder.ts'
import { RunType } from './run.ts'

const member = { member: true }

type Point = { readonly step: number; readonly value: number | null }
type Curve = { readonly name: string; readonly points: Point[] }

const CurvePoint = builder.objectRef<Point>('CurvePoint').implement({
  description: "A curve's value at one optimizer step.",
  authScopes: member,
  fields: (t) => ({
    step: t.exposeInt('step', { description: 'The optimizer step.' }),
    value: t.exposeFloat('value', {
      nullable: true,
      description: 'The value; null where it was not finite.',
    }),
  }),
})

const CurveType = builder.objectRef<Curve>('Curve').implement({
  description: 'One metric of a run over its steps.',
  authScopes: member,
  fields: (t) => ({
    name: t.exposeString('name', {
      description: 'Its name, such as loss, rewards/margins or eval_loss.',
    }),
    points: t.expose('points', {
      type: [CurvePoint],
      description: 'Its points, by step.',
      complexity: { field: 1, multiplier: 20 },
    }),
  }),
})

/** Of longer curves every k-th point is taken, and the last: the steps that are shown are real ones, nothing is averaged. */
async function readCurves(
  pool: Pool,
  runId: string,
  names: string[] | null,
  maxPoints: number,
): Promise<Curve[]> {
  type Row = { name: string; steps: number[]; values: (number | null)[] }
  const { rows } = await pool.query<Row>(
    `select name, array_agg(step order by step) as steps, array_agg(value order by step) as values
     from (select name, step, value,
                  row_number() over (partition by name order by step) - 1 as i, count(*) over (partition by name) as n
           from metrics where run_id = $1 and ($2::text[] is null or name = any($2))) numbered
     where i % greatest(1, ceil((n - 1)::float8 / ($3 - 1)))::int = 0 or i = n - 1
     group by name order by name`,
    [runId, names, maxPoints],
  )
  return rows.map(({ name, steps, values }) => ({
    name,
    points: steps.map((step, i) => ({ step, value: values[i] ?? null })),
  }))
}

const names = z.array(z.string().max(200)).max(100)
const maxPoints = z.number().int().min(2).max(10_000)

builder.drizzleObjectFields(RunType, (t) => ({
  metricNames: t.field({
    type: ['String'],
    description: 'The names of all its curves.',
    resolve: async ({ id }, _args, { pool }) => {
      const text = 'select distinct name from metrics where run_id = $1 order by name'
      return (await pool.query<{ name: string }>(text, [id])).rows.map(({ name }) => name)
    },
  }),
  curves: t.field({
    type: [CurveType],
    description: 'Its curves, by name.',
    args: {
      names: t.arg.stringList({ validate: names, description: 'Which ones; all unless told.' }),
      maxPoints: t.arg.int({
        required: true,
        defaultValue: 1000,
        validate: maxPoints,
        description: 'Of a longer curve only every k-th point, 2 to 10000 in all.',
      }),
    },
    resolve: ({ id }, args, { pool }) => readCurves(pool, id, args.names ?? null, args.maxPoints),
  }),
}))
