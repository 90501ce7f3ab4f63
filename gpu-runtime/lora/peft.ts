/** Adapters on disk in PEFT's layout: adapter_config.json and adapter_model.safetensors, as PEFT and vLLM load them. */
import { readFile, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { z } from 'zod'
import type { LoraSpec } from '#schema/spec.ts'
import { FormatError } from '../error.ts'
import { readHeader, readTensor, writeSafetensors } from '../files/safetensors.ts'
import type { Checkpoint } from '../models/checkpoint.ts'
import type { DecoderConfig } from '../models/config.ts'
import { modules } from '../models/linears.ts'
import { readAddedRows, savedMatrices, wholeMatrices } from './addedRows.ts'
import { key, sites, targets } from './lora.ts'

/** Every adapter has these. */
export const adapterFiles = ['adapter_config.json', 'adapter_model.safetensors'] as const

/** Does a stored adapter bring rows of added tokens? Throws FormatError where there is no such file. */
export async function hasAddedRows(directory: string): Promise<boolean> {
  const { tensors } = await readHeader(join(directory, 'adapter_model.safetensors'))
  return savedMatrices.some(({ key: name }) => tensors.has(name))
}

/**
 * Write an adapter; `flat` in the order of lora.ts. Bytes depend on nothing but the arguments. With added tokens the checkpoint's
 * embedding and head go with it, whole.
 */
export async function saveAdapter(
  directory: string,
  checkpoint: Checkpoint,
  spec: LoraSpec,
  flat: Float32Array,
  base: string,
): Promise<void> {
  const { config } = checkpoint
  const tensors = await wholeMatrices(checkpoint, flat)
  let at = 0
  for (const site of sites(config, spec)) {
    for (const [matrix, shape] of [
      ['A', [spec.r, site.in]],
      ['B', [site.out, spec.r]],
    ] as const) {
      const size = shape[0] * shape[1]
      tensors.push({
        name: key(site.path, matrix),
        dtype: 'F32' as const,
        shape,
        data: flat.subarray(at, at + size),
      })
      at += size
    }
  }
  await writeSafetensors(join(directory, 'adapter_model.safetensors'), tensors, { format: 'pt' })
  await writeFile(
    join(directory, 'adapter_config.json'),
    JSON.stringify(
      {
        peft_type: 'LORA',
        task_type: 'CAUSAL_LM',
        base_model_name_or_path: base,
        r: spec.r,
        lora_alpha: spec.alpha,
        lora_dropout: spec.dropout,
        target_modules: moduleNames(config, spec),
        bias: 'none',
        fan_in_fan_out: false,
        inference_mode: true,
        init_lora_weights: true,
        modules_to_save: config.addedTokens > 0 ? savedMatrices.map((m) => m.module) : null,
        use_rslora: spec.rslora,
        use_dora: false,
      },
      null,
      2,
    ) + '\n',
  )
}

/** The model's own names of what a spec targets, in the spec's order. */
function moduleNames(config: DecoderConfig, spec: LoraSpec): string[] {
  const adapted = targets(config, spec)
  const names = spec.targetModules.flatMap((linear) =>
    adapted.filter(({ parts }) => parts.some((p) => p.linear === linear)).map(({ name }) => name),
  )
  return [...new Set(names)]
}

/** Of options that give single linears a rank or a scale of their own. */
const none = z
  .record(z.string(), z.unknown())
  .refine((pattern) => Object.keys(pattern).length === 0, {
    error: 'expected none: all linears have one rank and one alpha here',
  })
  .nullable()
  .default(null)

const Config = z.looseObject({
  peft_type: z.literal('LORA'),
  r: z.number().int().positive(),
  lora_alpha: z.number().positive(),
  lora_dropout: z.number().min(0).lt(1).default(0),
  /** Names, or a regular expression or "all-linear": then its tensors tell which are meant. */
  target_modules: z
    .union([
      z
        .array(z.string())
        .min(1)
        .transform((names) => names.map((n) => n.split('.').at(-1)!)),
      z.string().transform(() => null),
    ])
    .nullable()
    .default(null),
  bias: z.literal('none').default('none'),
  use_rslora: z.boolean().default(false),
  use_dora: z.literal(false).default(false),
  use_qalora: z.literal(false).default(false),
  alpha_pattern: none,
  rank_pattern: none,
  layer_replication: z.null().default(null),
  fan_in_fan_out: z.literal(false).default(false),
  modules_to_save: z
    .array(z.enum(savedMatrices.map((m) => m.module)))
    .nullable()
    .default(null),
})

/** The names of the linears that tensors of LoRA are of, each once. */
const adaptedModules = (tensors: readonly string[]): string[] => [
  ...new Set(tensors.flatMap((name) => /\.(\w+)\.lora_[AB]\.weight$/.exec(name)?.[1] ?? [])),
]

/**
 * An adapter that fits a checkpoint: with as many added tokens, and the checkpoint's own rows before them. Throws FormatError
 * naming the file, and the tensor or field that is not as expected.
 */
export async function loadAdapter(
  directory: string,
  checkpoint: Checkpoint,
): Promise<{ spec: LoraSpec; flat: Float32Array<ArrayBuffer> }> {
  const { config } = checkpoint
  const file = join(directory, 'adapter_config.json')
  const parsed = Config.safeParse(
    await readFile(file, 'utf8')
      .then(JSON.parse)
      .catch((cause: unknown) => {
        throw new FormatError(`${file}: not readable as JSON`, { cause })
      }),
  )
  if (!parsed.success) throw new FormatError(`${file}: ${z.prettifyError(parsed.error)}`)
  const {
    r,
    lora_alpha: alpha,
    lora_dropout: dropout,
    use_rslora: rslora,
    target_modules: named,
  } = parsed.data
  const weights = join(directory, 'adapter_model.safetensors')
  const { tensors } = await readHeader(weights)
  const names = named ?? adaptedModules([...tensors.keys()])
  if (names.length === 0)
    throw new FormatError(`${weights}: expected tensors of LoRA on linears of the layers, has none`)
  const known = modules(config)
  const targetModules = names.flatMap((name) => {
    const found = known.find((m) => m.name === name)
    if (!found)
      throw new FormatError(
        `${file}: target_modules has "${name}", expected some of ${known.map((m) => m.name).join(', ')}`,
      )
    return found.parts.map((p) => p.linear)
  })
  const spec: LoraSpec = { r, alpha, rslora, dropout, targetModules }
  const expected = sites(config, spec).flatMap((s) => [
    { name: key(s.path, 'A'), shape: [r, s.in] },
    { name: key(s.path, 'B'), shape: [s.out, r] },
  ])
  const saved = config.addedTokens > 0 ? savedMatrices.map((m): string => m.key) : []
  const unknown = [...tensors.keys()].filter(
    (name) => !saved.includes(name) && !expected.some((e) => e.name === name),
  )
  if (unknown.length > 0)
    throw new FormatError(
      `${weights}: tensor "${unknown[0]}" belongs to none of ${names.join(', ')} of this model`,
    )
  const rows = await readAddedRows(weights, checkpoint)
  const size = expected.reduce((n, { shape }) => n + shape[0]! * shape[1]!, 0)
  const flat = new Float32Array(size + rows.length)
  flat.set(rows, size)
  let at = 0
  for (const { name, shape } of expected) {
    const info = tensors.get(name)
    if (!info) throw new FormatError(`${weights}: tensor "${name}" is missing`)
    if (info.shape.join() !== shape.join())
      throw new FormatError(
        `${weights}: tensor "${name}" is [${info.shape}], expected [${shape}] for ${basename(directory)}`,
      )
    flat.set(await readTensor(info), at)
    at += shape[0]! * shape[1]!
  }
  return { spec, flat }
}
