/** oddsmith import: an adapter that PEFT saved. */
import { randomUUID } from 'node:crypto'
import { basename, resolve } from 'node:path'
import type { Command } from 'commander'
import { expectType, problemFields } from '../client.ts'
import { connectByEnvironment } from '../config.ts'
import { print, type Common } from '../output.ts'

type Options = Common & { readonly model: string; readonly name?: string; readonly key?: string }

export const addImport = (program: Command): Command =>
  program
    .command('import <dir>')
    .description('copy a LoRA adapter that was trained elsewhere, so that it can be scored')
    .requiredOption('--model <dir>', 'the base model that it was trained on')
    .option('--name <name>', 'what people will call it (default: that of its folder)')
    .option('--key <text>', 'idempotency key: the same key and input are the same adapter')
    .action(async (dir: string, { model, name = basename(resolve(dir)), key, json }: Options) => {
      const { importAdapter } = await connectByEnvironment(process.env).query<{
        importAdapter: { __typename: string }
      }>(
        `mutation ($input: ImportAdapterInput!) { importAdapter(input: $input) {
           __typename ... on Adapter { id name r alpha targetModules parameters } ${problemFields} } }`,
        {
          input: {
            idempotencyKey: key ?? randomUUID(),
            name,
            path: resolve(dir),
            model: { path: resolve(model) },
          },
        },
      )
      const { __typename: _, ...adapter } = expectType<{
        __typename: string
        id: string
        name: string
      }>(importAdapter as never, 'Adapter')
      print({ json: json ?? false }, adapter, () => `${adapter.id}  ${adapter.name}`)
    })
