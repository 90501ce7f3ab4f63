/** Which files of a dataset's repository hold a split, by the rules of the `datasets` library that the Nous suite and MMLU need. */
import type { HubDataset } from '#schema/sources.ts'
import type { Hub } from '../env.ts'
import { cachedFiles, type Repository } from './cache.ts'
import { HubError, fetchFile, filesAt, pinnedCommit } from './client.ts'

/** Where the Hub keeps every dataset that it can read in Parquet as well. */
const converted = 'refs/convert/parquet'

/**
 * The split's one file in the cache; found there without a network once it is. Where the revision is null, the commit is the one that
 * `main` was at when it was first asked for. What the repository keeps in no file that can be read is taken from the Hub's own
 * conversion. Throws HubError where there is none, or several.
 */
export async function splitFile(hub: Hub, dataset: HubDataset, maxBytes: number): Promise<string> {
  const repository: Repository = { type: 'dataset', id: dataset.id }
  const seen: string[] = []
  for (const revision of [dataset.revision ?? 'main', converted]) {
    const commit = await pinnedCommit(hub, repository, revision)
    const choose = (files: readonly string[]) => filesOf(files, dataset, revision === converted)
    const here = choose(await cachedFiles(hub.cache, repository, commit))
    const files =
      here.length === 1 && isWhole(here) ? here : choose(await filesAt(hub, repository, commit))
    const [path, ...others] = files
    if (path === undefined) {
      seen.push(`${revision} (${commit})`)
      continue
    }
    if (others.length > 0)
      throw new HubError(
        `${named(hub, dataset)} is in ${files.length} files, expected one; join them and give the file's path as rows`,
      )
    return fetchFile(hub, repository, { commit, path, maxBytes })
  }
  throw new HubError(
    `${named(hub, dataset)}: no Parquet, JSONL, JSON or CSV of it at ${seen.join(' or ')}`,
  )
}

const named = ({ endpoint }: Hub, { id, config, split }: HubDataset): string =>
  `${endpoint}: split ${split} of dataset ${id}${config === null ? '' : `, ${config}`}`

const readable = /\.(parquet|jsonl|json|csv|jsonl\.gz)$/
/** Of which only one can be a split. */
const notRows = /(^|\/)(dataset_infos?|package|croissant|state)\.json$|^\./

/**
 *     main/test-00000-of-00001.parquet        config main, split test
 *     data/validation-00000-of-00001.parquet  no config
 *     default/test/0000.parquet               as the Hub converts
 *     ifeval_input_data.jsonl                 alone in its repository: the split train
 */
export function filesOf(
  files: readonly string[],
  { config, split }: Pick<HubDataset, 'config' | 'split'>,
  isConverted: boolean,
): string[] {
  const rows = files.filter((file) => readable.test(file) && !notRows.test(file))
  const folders =
    config === null ? ['', 'data', 'default', ...(isConverted ? only(rows) : [])] : [config]
  const matches = rows.filter((file) => {
    const parts = file.split('/')
    const name = parts.pop()!
    const own = parts.at(-1) === split ? parts.slice(0, -1) : parts
    const isSplit =
      parts.at(-1) === split || (name.startsWith(split) && /^[-._]/.test(name.slice(split.length)))
    return isSplit && folders.includes(own.join('/'))
  })
  // The same rows in two formats are one split.
  const parquet = matches.filter((file) => file.endsWith('.parquet'))
  const found = parquet.length > 0 ? parquet : matches
  const alone =
    config === null && split === 'train' && rows.length === 1 && !otherSplit.test(rows[0]!)
  return (found.length === 0 && alone ? rows : found).toSorted()
}

const otherSplit = /(^|[-_./])(test|validation|valid|dev|eval)([-_./]|$)/

/** The Hub names the one config of a dataset that has none as it likes. */
function only(rows: readonly string[]): string[] {
  const configs = new Set(rows.map((file) => file.split('/')[0]!))
  return configs.size === 1 ? [...configs] : []
}

/** Not one shard of several: those say how many there are. */
const isWhole = ([file]: readonly string[]): boolean =>
  Number(/-of-(\d+)/.exec(file!)?.[1] ?? 1) === 1
