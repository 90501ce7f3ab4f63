/** How a run trains: recipe, LoRA and engine, as they are read and as they are asked for. Defaults live in schema/spec.ts. */
import { curves, type ScheduleName, type ScheduleOptions } from '#schema/schedules.ts'
import {
  Engine,
  evaluationMetrics,
  goalOf,
  linears,
  LoraSpec,
  nllOf,
  Recipe,
  type Dialect as DialectName,
  type Quantization,
} from '#schema/spec.ts'
import { builder } from './builder.ts'

const recipe = Recipe.parse({})
const lora = LoraSpec.parse({})
const engine = Engine.parse({})

const Nll = builder.enumType('Nll', {
  description: 'What the likelihood term of the loss covers.',
  values: {
    PROMPT_AND_CHOSEN: { description: 'The prompt and the chosen answer, as TRL does.' },
    CHOSEN: { description: 'The chosen answer only.' },
  },
})

const Dialect = builder.enumType('Dialect', {
  description:
    'Whose ORPO: trainers differ in tokens, in what they cut and in their likelihood term.',
  values: {
    ODDSMITH: {
      description: `Rows by the chat template, the prompt once; one end token; tokens that merge over the border belong to the answers.
Too long: the prompt keeps BOS and its end up to maxPromptLength, answers share the rest and keep their end token.
Likelihood over prompt and chosen answer (or as \`nll\` says), a mean over the tokens of the micro-batch.`,
    },
    TRL_1: {
      description: `TRL 1.16: messages by the chat template, texts as they are; a border for each side; BOS and EOS where the very ends lack them.
Too long: only answers are cut, to what the prompt leaves of maxLength; a row of which nothing is left is refused (TRL's loss is NaN).
Likelihood over prompt and chosen answer, a mean over the tokens of the micro-batch.`,
    },
    TRL_0_8: {
      description: `TRL 0.8.6 as the article uses it: the prompt column as it is, then whole conversations by the template, so the prompt comes twice; one more BOS and EOS.
Too long: the prompt's last maxPromptLength tokens, then the answer's first maxLength - maxPromptLength; BOS and EOS are lost.
Likelihood over prompt and chosen answer, a mean over the tokens of the micro-batch; TRL 0.8 averaged pad tokens in by accident, which is not repeated.`,
    },
    LLAMA_FACTORY: {
      description: `LLaMA-Factory's loss: for each row, likelihood as a mean over its chosen answer plus beta times the odds term; then a mean over rows.
Too long: its rule, prompt and longer answer share maxLength in proportion and keep their beginnings.
Tokens are those of ODDSMITH, by the model's own chat template, not by LLaMA-Factory's templates.`,
    },
  } satisfies Record<DialectName, object>,
})

const Optimizer = builder.enumType('Optimizer', {
  description: 'What turns gradients into steps.',
  values: {
    ADAMW: { description: "AdamW with moments in float32, as torch's." },
    ADAMW_8BIT: {
      description:
        "AdamW with moments in 8 bits, as bitsandbytes' AdamW8bit: a quarter of the memory.",
    },
    PAGED_ADAMW_8BIT: {
      description:
        'The same as ADAMW_8BIT. Paging lets moments move to host memory when a card is full; here they are small, those of an adapter only, and always in host memory.',
    },
  } satisfies Record<Recipe['optimizer'], object>,
})

const Schedule = builder.enumType('Schedule', {
  description:
    'How the learning rate goes on after the warmup: the schedules of transformers whose rate depends on the step alone. Those that follow the loss (reduce_lr_on_plateau, greedy) are not among them.',
  values: {
    LINEAR: { description: 'Down to zero in a straight line.' },
    COSINE: { description: 'Down to zero along half a cosine, or along more of them: cycles.' },
    COSINE_WITH_RESTARTS: { description: 'Down to zero and back to the peak, cycles times.' },
    COSINE_WITH_MIN_LR: { description: 'COSINE down to minRate or minRatio.' },
    COSINE_WARMUP_WITH_MIN_LR: {
      description: 'The same, with a warmup that begins above zero: at warmupStart.',
    },
    POLYNOMIAL: { description: 'Down to endRate along a power of what is left of the run.' },
    INVERSE_SQRT: { description: 'One over the square root of the steps, scaled by timescale.' },
    WARMUP_STABLE_DECAY: {
      description: 'It stays, and falls to minRatio in the last decaySteps, along a curve each.',
    },
    CONSTANT: { description: 'It stays, from the first step: there is no warmup.' },
    CONSTANT_WITH_WARMUP: { description: 'It stays.' },
  } satisfies Record<ScheduleName, object>,
})

const Curve = builder.enumType('ScheduleCurve', {
  description: 'How a learning rate goes from one level to another.',
  values: {
    LINEAR: { description: 'A straight line.' },
    COSINE: { description: 'Half a cosine.' },
    ONE_MINUS_SQRT: { description: 'One minus a square root.' },
  } satisfies Record<(typeof curves)[number], object>,
})

const Recompute = builder.enumType('Recompute', {
  description:
    'What the backward pass computes again instead of keeping it in memory. The numbers do not change.',
  values: {
    AUTO: { description: 'The least for which the memory of the machine or its card suffices.' },
    NONE: { description: 'Nothing: fastest, most memory.' },
    ATTENTION: { description: 'Attention probabilities and cheap elementwise results.' },
    LAYER: { description: 'Whole decoder layers: slowest, least memory.' },
  },
})

export const QuantizationType = builder.enumType('Quantization', {
  description: "How the matrices of the base model's layers are held.",
  values: {
    NONE: { description: 'As the checkpoint stores them.' },
    NF4: {
      description:
        'In four bits (QLoRA: NF4 in blocks of 64, double quantization), quantized once and kept beside the model.',
    },
  } satisfies Record<Quantization, object>,
})

const Compute = builder.enumType('Compute', {
  description:
    'What the model computes in; the loss and the optimizer are always in float32, and so are scores, unless a type is asked for by name.',
  values: {
    AUTO: { description: 'float32 on a CPU, bfloat16 on a card that has it, else float16.' },
    FLOAT32: { description: 'float32.' },
    BFLOAT16: { description: 'bfloat16; on a card only.' },
    FLOAT16: { description: 'float16, with a scaled loss; on a card only.' },
  },
})

const Linear = builder.enumType('Linear', {
  description:
    'The linears of a decoder layer, by the names of their weights in Llama. Of a model that has several of them in one (Phi-3), all of those are named or none.',
  values: {
    q_proj: { description: 'Attention queries.' },
    k_proj: { description: 'Attention keys.' },
    v_proj: { description: 'Attention values.' },
    o_proj: { description: 'Attention output.' },
    gate_proj: { description: 'The gate of the feed-forward part.' },
    up_proj: { description: 'The widening half of the feed-forward part.' },
    down_proj: { description: 'The narrowing half of the feed-forward part.' },
  } satisfies Record<(typeof linears)[number], object>,
})

/** One sentence per knob, for the type and for the input alike. */
const recipeText = {
  dialect: 'Whose ORPO this is.',
  beta: "The weight of the odds ratio term (the paper's lambda).",
  nll: 'What the likelihood term covers; only ODDSMITH leaves the choice.',
  optimizer: 'What turns gradients into steps.',
  learningRate: 'The peak learning rate.',
  schedule: 'How the learning rate goes on after the warmup.',
  scheduleOptions: 'What shapes the schedule; each schedule takes its own.',
  warmupSteps: 'Optimizer steps over which the learning rate rises from zero.',
  warmupRatio: 'The same as a part of the run, 0 to 1; when given, it wins over warmupSteps.',
  weightDecay: "AdamW's weight decay.",
  maxGradNorm: 'Gradients are scaled down to this norm.',
  batchSize: 'Pairs per micro-batch, over which the loss is a mean.',
  accumulation: 'Micro-batches per optimizer step.',
  epochs: 'Passes over the training rows.',
  maxSteps: 'Optimizer steps; when given, it wins over epochs.',
  maxLength: 'Tokens of prompt and answer together; longer ones are cut.',
  maxPromptLength:
    'Tokens that a prompt keeps when something has to be cut, in the dialects that cut prompts; less than maxLength.',
  evalEvery:
    'A fraction of the run between evaluations on the held-out rows (0.2: five of them); 0 for none.',
  keepBest:
    "Keeps the adapter of the best evaluation instead of the last step's. Left out: the last step's.",
  earlyStopping:
    "Ends the training before its last step when keepBest's metric gains nothing any more. Left out: never.",
  logEvery: 'Optimizer steps between points of the curves.',
  checkpointEvery:
    'Optimizer steps between checkpoints; 0 for none but the one that an interruption writes.',
  seed: 'Seeds everything random.',
}

const keepBestText = {
  metric: `What is compared: one of ${evaluationMetrics.join(', ')}.`,
  goal: 'Which way is better.',
}

const earlyStoppingText = {
  patience: 'Evaluations that may pass without a gain.',
  minDelta: 'How much the best before must be beaten by to count as a gain.',
}

/** Those of transformers' lr_scheduler_kwargs, and its defaults. */
const optionText = {
  cycles:
    'Waves of the cosine (default 0.5: down once), or descents of COSINE_WITH_RESTARTS (default 1).',
  power: 'The power of POLYNOMIAL (default 1).',
  endRate: 'The learning rate at the end of POLYNOMIAL (default 1e-7).',
  minRate: 'The lowest learning rate; this or minRatio.',
  minRatio: 'The lowest learning rate as a part of the peak.',
  warmupStart: 'Where the warmup begins, as a part of the peak (default 1 / warmup steps).',
  timescale: 'Steps after which INVERSE_SQRT has fallen by √2 (default: the warmup, or 10000).',
  decaySteps: 'Steps of the decay of WARMUP_STABLE_DECAY, which needs them.',
  stableSteps: 'Steps between warmup and decay (default: what these leave).',
  warmupCurve: 'How WARMUP_STABLE_DECAY rises (default LINEAR).',
  decayCurve: 'How WARMUP_STABLE_DECAY falls (default COSINE).',
} satisfies Record<keyof ScheduleOptions, string>

const loraText = {
  r: 'The rank of the update.',
  alpha: 'The update is scaled by alpha / r.',
  rslora: 'Scale by alpha / √r instead (rank-stabilized LoRA).',
  dropout:
    "The part of each linear's input that training drops before A, 0 to below 1. The article says 0.05, but its trainer switched dropout off.",
  targetModules: 'The linears that get an update.',
}

const engineText = {
  recompute: 'What the backward pass computes again to save memory.',
  compute: 'What the model computes in.',
  tokenBudget: 'Tokens that one call of the engine may hold; it never changes the loss.',
  threads: 'Threads of the engine; null for what the installation says, or the number of cores.',
}

const ScheduleOptionsType = builder.objectRef<ScheduleOptions>('ScheduleOptions').implement({
  description: 'What shapes a schedule; null where it has its default.',
  fields: (t) => {
    const number = (
      name: 'cycles' | 'power' | 'endRate' | 'minRate' | 'minRatio' | 'warmupStart',
    ) => t.exposeFloat(name, { nullable: true, description: optionText[name] })
    const steps = (name: 'timescale' | 'decaySteps' | 'stableSteps') =>
      t.exposeInt(name, { nullable: true, description: optionText[name] })
    const curve = (name: 'warmupCurve' | 'decayCurve') =>
      t.expose(name, { type: Curve, nullable: true, description: optionText[name] })
    return {
      cycles: number('cycles'),
      power: number('power'),
      endRate: number('endRate'),
      minRate: number('minRate'),
      minRatio: number('minRatio'),
      warmupStart: number('warmupStart'),
      timescale: steps('timescale'),
      decaySteps: steps('decaySteps'),
      stableSteps: steps('stableSteps'),
      warmupCurve: curve('warmupCurve'),
      decayCurve: curve('decayCurve'),
    }
  },
})

export const Goal = builder.enumType('Goal', {
  description: 'Which way is better.',
  values: { MIN: { description: 'Down.' }, MAX: { description: 'Up.' } },
})

const KeepBestType = builder.objectRef<NonNullable<Recipe['keepBest']>>('KeepBest').implement({
  description: 'Which evaluation is the best.',
  fields: (t) => ({
    metric: t.exposeString('metric', { description: keepBestText.metric }),
    goal: t.field({ type: Goal, description: keepBestText.goal, resolve: goalOf }),
  }),
})

const EarlyStoppingType = builder
  .objectRef<NonNullable<Recipe['earlyStopping']>>('EarlyStopping')
  .implement({
    description: 'When training ends before its last step.',
    fields: (t) => ({
      patience: t.exposeInt('patience', { description: earlyStoppingText.patience }),
      minDelta: t.exposeFloat('minDelta', { description: earlyStoppingText.minDelta }),
    }),
  })

export const RecipeType = builder.objectRef<Recipe>('Recipe').implement({
  description: 'The training recipe.',
  fields: (t) => ({
    dialect: t.expose('dialect', { type: Dialect, description: recipeText.dialect }),
    beta: t.exposeFloat('beta', { description: recipeText.beta }),
    nll: t.field({ type: Nll, description: recipeText.nll, resolve: nllOf }),
    optimizer: t.expose('optimizer', { type: Optimizer, description: recipeText.optimizer }),
    learningRate: t.exposeFloat('learningRate', { description: recipeText.learningRate }),
    schedule: t.expose('schedule', { type: Schedule, description: recipeText.schedule }),
    scheduleOptions: t.expose('scheduleOptions', {
      type: ScheduleOptionsType,
      description: recipeText.scheduleOptions,
    }),
    warmupSteps: t.exposeInt('warmupSteps', { description: recipeText.warmupSteps }),
    warmupRatio: t.exposeFloat('warmupRatio', {
      nullable: true,
      description: recipeText.warmupRatio,
    }),
    weightDecay: t.exposeFloat('weightDecay', { description: recipeText.weightDecay }),
    maxGradNorm: t.exposeFloat('maxGradNorm', { description: recipeText.maxGradNorm }),
    batchSize: t.exposeInt('batchSize', { description: recipeText.batchSize }),
    accumulation: t.exposeInt('accumulation', { description: recipeText.accumulation }),
    epochs: t.exposeFloat('epochs', { description: recipeText.epochs }),
    maxSteps: t.exposeInt('maxSteps', { nullable: true, description: recipeText.maxSteps }),
    maxLength: t.exposeInt('maxLength', { description: recipeText.maxLength }),
    maxPromptLength: t.exposeInt('maxPromptLength', { description: recipeText.maxPromptLength }),
    evalEvery: t.exposeFloat('evalEvery', { description: recipeText.evalEvery }),
    keepBest: t.field({
      type: KeepBestType,
      nullable: true,
      description: recipeText.keepBest,
      // Runs that are older than this have no such word in their recipe; the same with earlyStopping.
      resolve: ({ keepBest }) => keepBest ?? null,
    }),
    earlyStopping: t.field({
      type: EarlyStoppingType,
      nullable: true,
      description: recipeText.earlyStopping,
      resolve: ({ earlyStopping }) => earlyStopping ?? null,
    }),
    logEvery: t.exposeInt('logEvery', { description: recipeText.logEvery }),
    checkpointEvery: t.exposeInt('checkpointEvery', { description: recipeText.checkpointEvery }),
    seed: t.exposeFloat('seed', { description: recipeText.seed }),
  }),
})

export const LoraType = builder.objectRef<LoraSpec>('Lora').implement({
  description: 'The low-rank update that training finds.',
  fields: (t) => ({
    r: t.exposeInt('r', { description: loraText.r }),
    alpha: t.exposeFloat('alpha', { description: loraText.alpha }),
    rslora: t.exposeBoolean('rslora', { description: loraText.rslora }),
    dropout: t.exposeFloat('dropout', { description: loraText.dropout }),
    targetModules: t.expose('targetModules', {
      type: [Linear],
      description: loraText.targetModules,
    }),
  }),
})

export const EngineType = builder.objectRef<Engine>('Engine').implement({
  description: 'How the runtime computes; nothing here but the precision changes what it computes.',
  fields: (t) => ({
    recompute: t.expose('recompute', { type: Recompute, description: engineText.recompute }),
    compute: t.expose('compute', { type: Compute, description: engineText.compute }),
    tokenBudget: t.exposeInt('tokenBudget', { description: engineText.tokenBudget }),
    threads: t.exposeInt('threads', { nullable: true, description: engineText.threads }),
  }),
})

/** "... Default: 0.1." */
const say =
  <T extends object>(text: { [K in keyof T]: string }, values: T) =>
  (name: keyof T & string) =>
    `${text[name]} Default: ${JSON.stringify(values[name])?.replaceAll('"', '')}.`

const ofRecipe = say(recipeText, recipe)
const ofLora = say(loraText, lora)
const ofEngine = say(engineText, engine)

const ScheduleOptionsInput = builder.inputType('ScheduleOptionsInput', {
  description: 'What shapes a schedule; an option that the schedule does not take is refused.',
  fields: (t) => ({
    cycles: t.float({ description: optionText.cycles }),
    power: t.float({ description: optionText.power }),
    endRate: t.float({ description: optionText.endRate }),
    minRate: t.float({ description: optionText.minRate }),
    minRatio: t.float({ description: optionText.minRatio }),
    warmupStart: t.float({ description: optionText.warmupStart }),
    timescale: t.int({ description: optionText.timescale }),
    decaySteps: t.int({ description: optionText.decaySteps }),
    stableSteps: t.int({ description: optionText.stableSteps }),
    warmupCurve: t.field({ type: Curve, description: optionText.warmupCurve }),
    decayCurve: t.field({ type: Curve, description: optionText.decayCurve }),
  }),
})

const KeepBestInput = builder.inputType('KeepBestInput', {
  description: 'Which evaluation is the best; it needs held-out rows and evaluations.',
  fields: (t) => ({
    metric: t.string({ description: `${keepBestText.metric} Default: eval_loss.` }),
    goal: t.field({
      type: Goal,
      description: `${keepBestText.goal} Default: MIN for losses, MAX for everything else.`,
    }),
  }),
})

const EarlyStoppingInput = builder.inputType('EarlyStoppingInput', {
  description: 'When training ends before its last step; it needs keepBest.',
  fields: (t) => ({
    patience: t.int({ required: true, description: earlyStoppingText.patience }),
    minDelta: t.float({ description: `${earlyStoppingText.minDelta} Default: 0.` }),
  }),
})

export const RecipeInput = builder.inputType('RecipeInput', {
  description: 'The training recipe. Left out, it is the article\'s "fine-tune Llama 3 with ORPO".',
  fields: (t) => ({
    dialect: t.field({ type: Dialect, description: ofRecipe('dialect') }),
    beta: t.float({ description: ofRecipe('beta') }),
    nll: t.field({ type: Nll, description: `${recipeText.nll} Default: what the dialect does.` }),
    optimizer: t.field({ type: Optimizer, description: ofRecipe('optimizer') }),
    learningRate: t.float({ description: ofRecipe('learningRate') }),
    schedule: t.field({ type: Schedule, description: ofRecipe('schedule') }),
    scheduleOptions: t.field({
      type: ScheduleOptionsInput,
      description: recipeText.scheduleOptions,
    }),
    warmupSteps: t.int({ description: ofRecipe('warmupSteps') }),
    warmupRatio: t.float({ description: ofRecipe('warmupRatio') }),
    weightDecay: t.float({ description: ofRecipe('weightDecay') }),
    maxGradNorm: t.float({ description: ofRecipe('maxGradNorm') }),
    batchSize: t.int({ description: ofRecipe('batchSize') }),
    accumulation: t.int({ description: ofRecipe('accumulation') }),
    epochs: t.float({ description: ofRecipe('epochs') }),
    maxSteps: t.int({ description: ofRecipe('maxSteps') }),
    maxLength: t.int({ description: ofRecipe('maxLength') }),
    maxPromptLength: t.int({ description: ofRecipe('maxPromptLength') }),
    evalEvery: t.float({ description: ofRecipe('evalEvery') }),
    keepBest: t.field({ type: KeepBestInput, description: recipeText.keepBest }),
    earlyStopping: t.field({ type: EarlyStoppingInput, description: recipeText.earlyStopping }),
    logEvery: t.int({ description: ofRecipe('logEvery') }),
    checkpointEvery: t.int({ description: ofRecipe('checkpointEvery') }),
    seed: t.float({ description: ofRecipe('seed') }),
  }),
})

export const LoraInput = builder.inputType('LoraInput', {
  description: 'The low-rank update that training is to find.',
  fields: (t) => ({
    r: t.int({ description: ofLora('r') }),
    alpha: t.float({ description: ofLora('alpha') }),
    rslora: t.boolean({ description: ofLora('rslora') }),
    dropout: t.float({ description: ofLora('dropout') }),
    targetModules: t.field({ type: [Linear], description: ofLora('targetModules') }),
  }),
})

export const EngineInput = builder.inputType('EngineInput', {
  description: 'How the runtime is to compute.',
  fields: (t) => ({
    recompute: t.field({ type: Recompute, description: ofEngine('recompute') }),
    compute: t.field({ type: Compute, description: ofEngine('compute') }),
    tokenBudget: t.int({ description: ofEngine('tokenBudget') }),
    threads: t.int({ description: ofEngine('threads') }),
  }),
})
