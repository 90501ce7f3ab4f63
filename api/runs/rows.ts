/** Where a task's rows are: in a benchmark folder, else on the Hub. */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fileNames, sourceKey, sources, type HubDataset } from '#schema/sources.ts'
import type { Config } from '../env.ts'
import { HubError } from '../hub/client.ts'
import { splitFile } from '../hub/datasets.ts'
import { InvalidInput } from '../problem.ts'
import { pinFile, type PinnedFile } from './pin.ts'

type Places = Pick<Config, 'benchmarkRoots' | 'hub'>

/** Folders in which rows that nobody gave a path for may lie. */
export const rowRoots = ({ benchmarkRoots, hub }: Places): string[] =>
  hub === null ? [...benchmarkRoots] : [...benchmarkRoots, hub.cache]

/**
 * The rows of the file `name`, pinned. Where that is one of a source's ("arc_easy.test.jsonl"), its other names are looked for too; the
 * first benchmark folder that has one wins, and where none has, the source's dataset on the Hub is fetched. The path keeps its name,
 * which says the format, where it is a link into the Hub's cache. InvalidInput at `at` where the rows are nowhere.
 */
export async function pinRows(
  config: Config,
  name: string,
  at: readonly string[],
): Promise<PinnedFile> {
  const path = await findRows(config, name, at)
  return { ...(await pinFile(config, path, at, rowRoots(config))), path }
}

/** The rows of a split on the Hub, pinned. InvalidInput at `at` where they are not to be had. */
export async function pinDataset(
  config: Config,
  dataset: HubDataset,
  at: readonly string[],
): Promise<PinnedFile> {
  const wrong = (message: string) => new InvalidInput([{ path: at, message }])
  if (config.hub === null)
    throw wrong(
      `expected ODDSMITH_HUB=on to fetch ${dataset.id} from the Hub; or give a path as rows`,
    )
  const path = await splitFile(config.hub, dataset, maxBytes).catch((error: unknown) => {
    throw error instanceof HubError ? wrong(error.message) : error
  })
  return { ...(await pinFile(config, path, at, rowRoots(config))), path }
}

/** More than any benchmark's rows take. */
const maxBytes = 2 ** 31

async function findRows(config: Places, name: string, at: readonly string[]): Promise<string> {
  const key = sourceKey(name)
  const source = key === null ? null : sources.get(key)!
  const names = source === null ? [name] : [...new Set([name, ...fileNames(source)])]
  for (const root of config.benchmarkRoots)
    for (const file of names) {
      const found = await stat(join(root, file)).catch(() => null)
      if (found?.isFile() === true) return join(root, file)
    }
  const wanted = `expected ${names[0]} in ${config.benchmarkRoots.join(' or ')}`
  const remedy = `give its path as ${at.at(-1)}, or set ODDSMITH_BENCHMARKS`
  const wrong = (message: string) => new InvalidInput([{ path: at, message }])
  if (source?.hub == null) throw wrong(`${wanted}; ${remedy}`)
  if (config.hub === null)
    throw wrong(`${wanted}; ${remedy}, or ODDSMITH_HUB=on to fetch ${source.hub.id} from the Hub`)
  return splitFile(config.hub, source.hub, maxBytes).catch((error: unknown) => {
    if (!(error instanceof HubError)) throw error
    throw wrong(`${wanted}, or from the Hub: ${error.message}; ${remedy}`)
  })
}
