/** Adapters in PEFT's layout as they are found on disk: which of them can be computed with, told from config and header alone. */
import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { linears, type Linear, type LoraSpec } from '#schema/spec.ts'
import { InvalidInput } from '../problem.ts'
import { readAllShapes, readShapes, type TensorShape } from './safetensors.ts'

/** What an adapter that can be used says of itself. */
export type FoundLora = Omit<LoraSpec, 'dropout'> & {
  /** How many numbers it has. */
  readonly parameters: number
}

export const adapterNames = ['adapter_config.json', 'adapter_model.safetensors'] as const

const absent = (what: string) =>
  z.unknown().refine((value) => value === null || value === undefined || value === false, {
    error: `expected none: ${what}`,
  })
const emptyPattern = z
  .record(z.string(), z.unknown())
  .refine((pattern) => Object.keys(pattern).length === 0, {
    error: 'expected none: all linears have one rank and one alpha here',
  })
  .nullish()

const otherWeights = 'it computes something else than LoRA on linears'
const Config = z.looseObject({
  peft_type: z.literal('LORA'),
  r: z.number().int().positive().max(512),
  lora_alpha: z.number().positive(),
  use_rslora: z.boolean().default(false),
  target_modules: z.union([z.string(), z.array(z.string()).min(1)]).nullish(),
  bias: z.literal('none').default('none'),
  rank_pattern: emptyPattern,
  alpha_pattern: emptyPattern,
  modules_to_save: z
    .array(z.enum(['embed_tokens', 'lm_head'], { error: 'expected embed_tokens or lm_head' }))
    .nullish(),
  fan_in_fan_out: absent('linears keep their weights as [out, in]'),
  use_dora: absent(otherWeights),
  use_qalora: absent(otherWeights),
  use_bdlora: absent(otherWeights),
  lora_bias: absent(otherWeights),
  layer_replication: absent('layers are those of the base model'),
  alora_invocation_tokens: absent('it is applied to all tokens'),
  arrow_config: absent(otherWeights),
  target_parameters: absent(otherWeights),
  trainable_token_indices: absent('embeddings are saved whole, by modules_to_save'),
  // PiSSA, OLoRA, LoftQ and others change the base model's weights when they begin.
  init_lora_weights: z
    .union([z.boolean(), z.enum(['gaussian', 'eva', 'orthogonal'])], {
      error:
        'expected true, false, gaussian, eva or orthogonal: others change the base model; PEFT converts them with path_initial_model_for_weight_conversion',
    })
    .nullish(),
})

/** Linears that some families have in one. */
const fused: Readonly<Record<string, readonly Linear[]>> = {
  qkv_proj: ['q_proj', 'k_proj', 'v_proj'],
  gate_up_proj: ['gate_proj', 'up_proj'],
}
const linearsOf = (module: string): readonly Linear[] =>
  fused[module] ?? linears.filter((name) => name === module)

/**
 * Checks the files of an adapter, which people know by its `directory`, against the tensors of its base model in the folder `model`. Which linears it adapts is told by its tensors, whatever target_modules
 * says: a list, a regular expression or "all-linear". InvalidInput at `at` says what is supported.
 */
export async function inspectAdapter(
  { config, weights }: { readonly config: string; readonly weights: string },
  {
    directory,
    model,
    at,
  }: { readonly directory: string; readonly model: string; readonly at: readonly string[] },
): Promise<FoundLora> {
  const refuse = (messages: readonly string[]) =>
    new InvalidInput(messages.map((message) => ({ path: at, message: `${directory}: ${message}` })))
  const [configName, weightsName] = adapterNames
  const json = await readFile(config, 'utf8')
    .then((text) => JSON.parse(text) as unknown)
    .catch((cause: Error) => {
      throw refuse([`${configName}: expected JSON: ${cause.message}`])
    })
  const parsed = Config.safeParse(json)
  if (!parsed.success)
    throw refuse(
      parsed.error.issues.map(
        ({ path, message }) => `${configName}: ${[...path.map(String), message].join(': ')}`,
      ),
    )
  const { r, lora_alpha: alpha, use_rslora: rslora } = parsed.data
  const [found, base] = await Promise.all([
    readShapes(weights).catch((cause: Error) => {
      throw refuse([`${weightsName}: ${cause.message}`])
    }),
    readAllShapes(model),
  ])
  const layers = new Set(
    [...base.keys()].flatMap((name) => /^model\.layers\.(\d+)\./.exec(name)?.[1] ?? []),
  )
  const adapted = new Map<string, Set<string>>()
  const wrong: string[] = []
  for (const [name, shape] of found) {
    if (saved.test(name)) continue
    const match = matrix.exec(name)
    const linear = match && base.get(`${match[1]}.weight`)
    if (!match || !linear || linearsOf(match[3]!).length === 0) {
      wrong.push(
        `${weightsName}: tensor "${name}" is none of what is supported: lora_A and lora_B of ${linears.join(', ')} in the layers of the base model, and saved embeddings`,
      )
      continue
    }
    const [out, width] = linear.shape as [number, number]
    const expected = match[4] === 'A' ? [r, width] : [out, r]
    if (shape.shape.join() !== expected.join())
      wrong.push(
        `${weightsName}: tensor "${name}" is [${shape.shape}], expected [${expected}] for r = ${r} on this base model`,
      )
    const seen = adapted.get(match[3]!) ?? new Set()
    adapted.set(match[3]!, seen.add(`${match[2]}.${match[4]}`))
  }
  if (adapted.size === 0 && wrong.length === 0)
    wrong.push(`${weightsName}: expected tensors of LoRA, there is none`)
  for (const [module, seen] of adapted)
    if (seen.size !== 2 * layers.size)
      wrong.push(
        `${weightsName}: ${module} is adapted in ${seen.size / 2} of ${layers.size} layers; expected all: an adapter of some layers only is not supported`,
      )
  if (wrong.length > 0) throw refuse(wrong.slice(0, mostIssues))
  const targets = [...adapted.keys()].flatMap(linearsOf)
  return {
    r,
    alpha,
    rslora,
    targetModules: linears.filter((name) => targets.includes(name)),
    parameters: [...found.values()].reduce((sum, { shape }) => sum + elements(shape), 0),
  }
}

const mostIssues = 10
/** base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight */
const matrix =
  /^base_model\.model\.(model\.layers\.(\d+)\.(?:self_attn|mlp)\.(\w+))\.lora_([AB])\.weight$/
const saved = /^base_model\.model\.(?:model\.embed_tokens|lm_head)\.weight$/

const elements = (shape: TensorShape['shape']) => shape.reduce((product, n) => product * n, 1)
