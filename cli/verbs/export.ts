/** oddsmith export: samples and results, to a file or to stdout. */
import { createWriteStream } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { ReadableStream } from 'node:stream/web'
import { Argument, Option, type Command } from 'commander'
import { connectByEnvironment } from '../config.ts'
import { Failure } from '../exit.ts'
import { bare } from '../options.ts'
import { print, type Common } from '../output.ts'

type Options = Common & {
  readonly format: 'jsonl' | 'parquet' | 'harness'
  readonly subject?: string
  readonly output?: string
}

const files = { jsonl: 'samples.jsonl', parquet: 'samples.parquet', harness: 'harness.jsonl' }

export const addExport = (program: Command): Command =>
  program
    .command('export')
    .description(
      "download an evaluation's samples, or a run's results as lm-evaluation-harness writes them",
    )
    .addArgument(new Argument('<what>', 'what to download').choices(['samples', 'results']))
    .argument('<id>', 'of an evaluation for samples, of a run for results')
    .addOption(
      new Option('--format <format>', 'of samples').choices(Object.keys(files)).default('jsonl'),
    )
    .addOption(
      new Option('--subject <subject>', "of results: a training's base or its adapter").choices([
        'BASE',
        'ADAPTER',
      ]),
    )
    .option('-o, --output <file>', 'where to write; stdout unless told')
    .action(async (what: 'samples' | 'results', id: string, options: Options) => {
      const { format, subject, output, json = false } = options
      if (json && output === undefined)
        throw new Failure(
          'USAGE',
          'expected --output with --json: stdout has what was written then',
        )
      const query = subject === undefined ? '' : `?subject=${subject}`
      const path =
        what === 'samples'
          ? `/exports/evaluations/${bare(id)}/${files[format]}`
          : `/exports/runs/${bare(id)}/results.json${query}`
      const response = await connectByEnvironment(process.env).download(path)
      const body = Readable.fromWeb(response.body as ReadableStream)
      if (output === undefined) return pipeline(body, process.stdout, { end: false })
      let bytes = 0
      body.on('data', (chunk: Uint8Array) => (bytes += chunk.byteLength))
      await save(body, output)
      print(options, { file: output, bytes }, () => `${output}  ${bytes} bytes`)
    })

/** The file is whole or not there. */
async function save(body: Readable, output: string): Promise<void> {
  const partial = `${output}.part`
  try {
    await pipeline(body, createWriteStream(partial))
    await rename(partial, output)
  } catch (cause) {
    await rm(partial, { force: true })
    throw new Failure('UNEXPECTED', `could not write ${output}: ${(cause as Error).message}`)
  }
}
