/** Samples as Parquet, a page a row group: a column for each metric, lists as JSON. */
import type { SchemaElement } from 'hyparquet'
import { ByteWriter, ParquetWriter, type ColumnSource } from 'hyparquet-writer'
import type { StoredSample } from './samples.ts'

type Column = {
  readonly name: string
  readonly element: Omit<SchemaElement, 'name'>
  readonly of: (sample: StoredSample) => unknown
}

const text = { type: 'BYTE_ARRAY', converted_type: 'UTF8' } as const
const json = { type: 'BYTE_ARRAY', converted_type: 'JSON' } as const
const integer = { type: 'INT32' } as const

const columnsOf = (metrics: readonly string[]): Column[] => [
  { name: 'document', element: integer, of: (s) => s.document },
  { name: 'hash', element: text, of: (s) => s.hash },
  { name: 'gold', element: integer, of: (s) => s.gold },
  { name: 'picked', element: integer, of: (s) => s.picked },
  { name: 'question', element: text, of: (s) => s.question },
  { name: 'answers', element: json, of: (s) => s.answers },
  { name: 'choices', element: json, of: (s) => s.choices },
  { name: 'response', element: text, of: (s) => s.response },
  ...metrics.flatMap((metric): Column[] => [
    { name: metric, element: { type: 'DOUBLE' }, of: (s) => s.scores[metric] },
    {
      name: `${metric}_weight`,
      element: { type: 'DOUBLE' },
      of: (s) => s.weights?.[metric] ?? 1,
    },
  ]),
]

/** Chunks of the file; `metrics` are those that the samples have. */
export async function* toParquet(
  pages: AsyncIterable<readonly StoredSample[]>,
  metrics: readonly string[],
): AsyncGenerator<Uint8Array> {
  const columns = columnsOf(metrics)
  const bytes = new ByteWriter()
  const taken = (): Uint8Array => {
    const chunk = bytes.getBytes().slice()
    // The offset in the file goes on; the buffer is used again.
    bytes.index = 0
    return chunk
  }
  const file = new ParquetWriter({
    writer: bytes,
    createdBy: 'oddsmith',
    schema: [
      { name: 'root', num_children: columns.length },
      ...columns.map(({ name, element }): SchemaElement => ({
        name,
        ...element,
        repetition_type: 'OPTIONAL',
      })),
    ],
  })
  for await (const page of pages) {
    const columnData = columns.map(({ name, of }): ColumnSource => ({
      name,
      data: page.map((sample) => of(sample) ?? null),
    }))
    await file.write({ columnData, rowGroupSize: page.length })
    yield taken()
  }
  await file.finish()
  yield taken()
}
