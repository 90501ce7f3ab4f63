/**
 * Where the rows of every benchmark come from: files that may lie under the benchmark roots, and the Hub's dataset.
 *
 * Ids, configurations and splits are those of lm-evaluation-harness 0.4.13, AGIEval's those of its fork that the Nous suite is run with.
 * Revisions are commits of the Hub at which others have pinned the same dataset in public and found it in Parquet or JSONL. Where no
 * such commit was found (AGIEval) the revision is null: pinned to the commit that is found at first use. The Nous suite's BIG-bench
 * tasks are files of that fork, lm_eval/datasets/bigbench_resources, and on the Hub only in another form.
 */

import { rowHashes } from './rowHashes.ts'

export type HubDataset = {
  readonly id: string
  /** Null: the dataset has one. */
  readonly config: string | null
  readonly split: string
  /** 40 hexadecimal digits, or null. */
  readonly revision: string | null
}

export type RowSource = {
  /** Paths below a benchmark root, the likeliest first, without extension; see `fileNames`. */
  readonly stems: readonly string[]
  readonly hub: HubDataset | null
  /** How many rows there are, those that occur twice in a BIG-bench task counted once. */
  readonly rows: number
  /** The columns that a task reads; others may be absent. */
  readonly columns: readonly string[]
  /** Of the canonical rows (gpu-runtime/data/canonicalRows.ts); null where the rows were never at hand. */
  readonly sha256: string | null
}

/** File names that hold a source's rows, in the order in which they are looked for. */
export const fileNames = ({ stems }: Pick<RowSource, 'stems'>): string[] =>
  stems.flatMap((stem) => extensions.map((extension) => stem + extension))

const extensions = [
  '.jsonl',
  '.json',
  '.csv',
  '.parquet',
  '.jsonl.gz',
  '.raw',
  '.raw.reconstructed',
]

const arc = ['question', 'choices', 'answerKey']
const openbookqa = ['question_stem', 'choices', 'answerKey']
const hellaswag = ['activity_label', 'ctx_a', 'ctx_b', 'endings', 'label']
const winogrande = ['sentence', 'option1', 'option2', 'answer']
const piqa = ['goal', 'sol1', 'sol2', 'label']
const boolq = ['question', 'passage', 'label']
const gsm8k = ['question', 'answer']

const source = (
  key: string,
  rows: number,
  columns: readonly string[],
  hub: HubDataset | null,
  stems: readonly string[],
): [string, RowSource] => [key, { stems, hub, rows, columns, sha256: rowHashes[key] ?? null }]

/** `task/split` of a dataset in the Hub's own columns; locally `task.split`. */
const split = (
  key: string,
  rows: number,
  columns: readonly string[],
  [id, config, revision]: readonly [id: string, config: string | null, revision: string],
  others: readonly string[] = [],
) =>
  source(key, rows, columns, { id, config, split: key.split('/')[1]!, revision }, [
    key.replace('/', '.'),
    ...others,
  ])

const ai2Arc = '210d026faf9955653af8916fad021475a3f00453'
const superGlue = '3de24cf8022e94f4ee4b9d55a6f539891524d646'
const repositories = {
  arcEasy: ['allenai/ai2_arc', 'ARC-Easy', ai2Arc],
  arcChallenge: ['allenai/ai2_arc', 'ARC-Challenge', ai2Arc],
  openbookqa: ['allenai/openbookqa', 'main', '388097ea7776314e93a529163e0fea805b8a6454'],
  hellaswag: ['Rowan/hellaswag', null, '218ec52e09a7e7462a5400043bb9a69a41d06b76'],
  winogrande: ['allenai/winogrande', 'winogrande_xl', '01e74176c63542e6b0bcb004dcdea22d94fb67b5'],
  piqa: ['baber/piqa', null, '142f6d7367fd9877f0fb3b5734ea6a545f54cdd1'],
  boolq: ['aps/super_glue', 'boolq', superGlue],
  truthfulqa: [
    'truthfulqa/truthful_qa',
    'multiple_choice',
    '741b8276f2d1982aa3d5b832d3ee81ed3b896490',
  ],
  gsm8k: ['openai/gsm8k', 'main', '740312add88f781978c0658806c59bc2815b9866'],
  lambada: ['EleutherAI/lambada_openai', 'default', '900124bf3b8235c6daf21033af9948b3f07346c4'],
} as const

/** Documents of the 57 subjects' test splits, 14,042 in all; each dev split has five. */
export const mmluSubjects: Readonly<Record<string, number>> = {
  abstract_algebra: 100,
  anatomy: 135,
  astronomy: 152,
  business_ethics: 100,
  clinical_knowledge: 265,
  college_biology: 144,
  college_chemistry: 100,
  college_computer_science: 100,
  college_mathematics: 100,
  college_medicine: 173,
  college_physics: 102,
  computer_security: 100,
  conceptual_physics: 235,
  econometrics: 114,
  electrical_engineering: 145,
  elementary_mathematics: 378,
  formal_logic: 126,
  global_facts: 100,
  high_school_biology: 310,
  high_school_chemistry: 203,
  high_school_computer_science: 100,
  high_school_european_history: 165,
  high_school_geography: 198,
  high_school_government_and_politics: 193,
  high_school_macroeconomics: 390,
  high_school_mathematics: 270,
  high_school_microeconomics: 238,
  high_school_physics: 151,
  high_school_psychology: 545,
  high_school_statistics: 216,
  high_school_us_history: 204,
  high_school_world_history: 237,
  human_aging: 223,
  human_sexuality: 131,
  international_law: 121,
  jurisprudence: 108,
  logical_fallacies: 163,
  machine_learning: 112,
  management: 103,
  marketing: 234,
  medical_genetics: 100,
  miscellaneous: 783,
  moral_disputes: 346,
  moral_scenarios: 895,
  nutrition: 306,
  philosophy: 311,
  prehistory: 324,
  professional_accounting: 282,
  professional_law: 1534,
  professional_medicine: 272,
  professional_psychology: 612,
  public_relations: 110,
  security_studies: 245,
  sociology: 201,
  us_foreign_policy: 100,
  virology: 166,
  world_religions: 171,
}

const mmlu = Object.entries(mmluSubjects).flatMap(([subject, test]) =>
  (['test', 'dev'] as const).map((part) =>
    source(
      `mmlu_${subject}/${part}`,
      part === 'test' ? test : 5,
      ['question', 'choices', 'answer'],
      {
        id: 'cais/mmlu',
        config: subject,
        split: part,
        revision: 'c30699e8356da336a370243923dbaf21066bb9fe',
      },
      [`mmlu_${subject}.${part}`, `mmlu/${part}/${subject}_${part}`, `mmlu/${subject}_${part}`],
    ),
  ),
)

const agieval = Object.entries({
  aqua_rat: 254,
  logiqa_en: 651,
  lsat_ar: 230,
  lsat_lr: 510,
  lsat_rc: 269,
  sat_en: 206,
  sat_en_without_passage: 206,
  sat_math: 220,
}).map(([name, rows]) =>
  source(
    `agieval_${name}/test`,
    rows,
    ['query', 'choices', 'gold'],
    {
      id: `dmayhem93/agieval-${name.replaceAll('_', '-')}`,
      config: null,
      split: 'test',
      revision: null,
    },
    [`agieval_${name}`, `agieval_${name}.test`],
  ),
)

const bigBench = Object.entries({
  causal_judgement: 190,
  date_understanding: 369,
  disambiguation_qa: 258,
  geometric_shapes: 359,
  logical_deduction_five_objects: 500,
  logical_deduction_seven_objects: 700,
  logical_deduction_three_objects: 300,
  movie_recommendation: 500,
  navigate: 1000,
  reasoning_about_colored_objects: 2000,
  ruin_names: 448,
  salient_translation_error_detection: 998,
  snarks: 181,
  sports_understanding: 986,
  temporal_sequences: 1000,
  tracking_shuffled_objects_five_objects: 1250,
  tracking_shuffled_objects_seven_objects: 1750,
  // BIG-bench's own. The fork's file of this name is that of logical_deduction_three_objects, byte for byte.
  tracking_shuffled_objects_three_objects: 750,
}).map(([name, rows]) =>
  source(`bigbench_${name}/default`, rows, ['input', 'choices', 'target_scores', 'task'], null, [
    `bigbench_${name}`,
    `bigbench/${name}`,
    `bigbench-nous/${name}`,
    name,
  ]),
)

/** By `task/split`. */
export const sources: ReadonlyMap<string, RowSource> = new Map([
  split('arc_easy/test', 2376, arc, repositories.arcEasy),
  split('arc_easy/train', 2251, arc, repositories.arcEasy),
  split('arc_challenge/test', 1172, arc, repositories.arcChallenge),
  split('arc_challenge/train', 1119, arc, repositories.arcChallenge),
  split('openbookqa/test', 500, openbookqa, repositories.openbookqa),
  split('openbookqa/train', 4957, openbookqa, repositories.openbookqa),
  split('hellaswag/validation', 10_042, hellaswag, repositories.hellaswag, [
    'hellaswag/hellaswag_val',
  ]),
  split('hellaswag/train', 39_905, hellaswag, repositories.hellaswag, [
    'hellaswag/hellaswag_train',
  ]),
  split('winogrande/validation', 1267, winogrande, repositories.winogrande),
  split('winogrande/train', 40_398, winogrande, repositories.winogrande),
  split('piqa/validation', 1838, piqa, repositories.piqa),
  split('piqa/train', 16_113, piqa, repositories.piqa),
  split('boolq/validation', 3270, boolq, repositories.boolq),
  split('boolq/train', 9427, boolq, repositories.boolq),
  split(
    'truthfulqa_mc/validation',
    817,
    ['question', 'mc1_targets', 'mc2_targets'],
    repositories.truthfulqa,
  ),
  split('gsm8k/test', 1319, gsm8k, repositories.gsm8k, ['gsm8k/test']),
  split('gsm8k/train', 7473, gsm8k, repositories.gsm8k, ['gsm8k/train']),
  split('lambada_openai/test', 5153, ['text'], repositories.lambada),
  source(
    'ifeval/train', // the Hub's only split
    541,
    ['key', 'prompt', 'instruction_id_list', 'kwargs'],
    {
      id: 'google/IFEval',
      config: null,
      split: 'train',
      revision: '966cd89545d6b6acfd7638bc708b98261ca58e84',
    },
    ['ifeval', 'ifeval.train', 'ifeval/input_data', 'ifeval_input_data'],
  ),
  source(
    'wikitext/test',
    62,
    ['page'],
    {
      id: 'EleutherAI/wikitext_document_level',
      config: 'wikitext-2-raw-v1',
      split: 'test',
      revision: '647234772b9554e208af6c826f23b99e3cac88c8',
    },
    ['wikitext.test', 'wikitext-2-raw/wiki.test', 'wiki.test'],
  ),
  ...agieval,
  ...bigBench,
  ...mmlu,
])

const byFile = new Map(
  [...sources].toReversed().flatMap(([key, entry]) => fileNames(entry).map((name) => [name, key])),
)

/** The key of the source that a file of this name holds, or null; a key is its own. */
export const sourceKey = (name: string): string | null =>
  sources.has(name) ? name : (byFile.get(name) ?? null)

/** "allenai/ai2_arc@210d026, ARC-Easy, test: 2,376 rows", or null for what is not on the Hub. */
export function hubText(name: string): string | null {
  const { hub = null, rows } = sources.get(sourceKey(name) ?? '') ?? { rows: 0 }
  if (hub === null) return null
  const { id, config, split, revision } = hub
  const at = revision === null ? id : `${id}@${revision.slice(0, 7)}`
  const parts = config === null ? [at, split] : [at, config, split]
  return `${parts.join(', ')}: ${rows.toLocaleString('en')} rows`
}
