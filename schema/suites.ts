/** The catalogue of suites: tasks that are asked together, and averaged. */
import type { EvaluationSettings } from './spec.ts'
import { agieval } from './tasks/agieval.ts'
import { bigBench } from './tasks/bigBench.ts'
import { gpt4all } from './tasks/gpt4all.ts'
import { mmluTasks, type MmluGroup } from './tasks/mmlu.ts'

/** How a suite asks one of its tasks; what it does not say is as for the task alone. */
export type SuiteMember = {
  readonly task: string
  readonly dialect: EvaluationSettings['dialect']
  readonly bos?: EvaluationSettings['bos']
  /** The task whose rows stand in for its own. */
  readonly rowsOf?: string
  /** The task whose rows it must not be asked with, though a file of its name may hold them. */
  readonly notRowsOf?: string
}

/** BY_SIZE: by their documents, as if all stood in one task. EQUALLY: each once, whatever its size. */
export type Weighting = 'EQUALLY' | 'BY_SIZE'

export type SuiteGroup = {
  readonly name: string
  readonly title: string
  readonly members: readonly SuiteMember[]
}

export type SuiteEntry = {
  readonly title: string
  /** Each is averaged by itself. A task is in one of them. */
  readonly groups: readonly SuiteGroup[]
  /** How tasks weigh. */
  readonly weighting: Weighting
  /** What the suite's own value is the mean of: its groups, each once, or all of its tasks, as they weigh. */
  readonly meanOf: 'GROUPS' | 'TASKS'
  /** Whether groups are rounded, as percentages with two decimals, before they are averaged. */
  readonly roundsGroups: boolean
  /** What it does otherwise than the suite that it is named after. */
  readonly corrections: readonly string[]
}

const ask = (
  names: readonly string[],
  dialect: SuiteMember['dialect'],
  bos?: SuiteMember['bos'],
): SuiteMember[] => names.map((task) => ({ task, dialect, ...(bos === undefined ? {} : { bos }) }))

const three = {
  tracking: 'bigbench_tracking_shuffled_objects_three_objects',
  deduction: 'bigbench_logical_deduction_three_objects',
}
const bigBenchOf = (change: Partial<SuiteMember>, bos?: SuiteMember['bos']): SuiteMember[] =>
  ask(Object.keys(bigBench), 'NOUS', bos).map((member) =>
    member.task === three.tracking ? { ...member, ...change } : member,
  )

const nous: SuiteEntry = {
  title: 'Nous suite, as LLM AutoEval runs it',
  groups: [
    { name: 'agieval', title: 'AGIEval', members: ask(Object.keys(agieval), 'NOUS') },
    { name: 'gpt4all', title: 'GPT4All', members: ask(Object.keys(gpt4all), 'NOUS') },
    { name: 'truthfulqa', title: 'TruthfulQA', members: ask(['truthfulqa_mc'], 'NOUS') },
    {
      name: 'bigbench',
      title: 'Bigbench',
      members: bigBenchOf({ rowsOf: three.deduction }),
    },
  ],
  weighting: 'EQUALLY',
  meanOf: 'GROUPS',
  roundsGroups: true,
  corrections: [],
}

const nousFixed: SuiteEntry = {
  ...nous,
  title: 'Nous suite, corrected',
  groups: [
    { name: 'agieval', title: 'AGIEval', members: ask(Object.keys(agieval), 'LM_EVAL') },
    { name: 'gpt4all', title: 'GPT4All', members: ask(Object.keys(gpt4all), 'LM_EVAL') },
    { name: 'truthfulqa', title: 'TruthfulQA', members: ask(['truthfulqa_mc2'], 'LM_EVAL') },
    {
      name: 'bigbench',
      title: 'Bigbench',
      members: bigBenchOf({ notRowsOf: three.deduction }, 'TOKENIZER'),
    },
  ],
  roundsGroups: false,
  corrections: [
    "Texts begin with BOS where the model's tokenizer puts it; the suite never sends it, and models that were trained with it lose by that.",
    "tracking_shuffled_objects_three_objects is asked with BIG-bench's own 750 rows; the suite has the 300 of logical_deduction_three_objects under its name, which so count twice.",
    'TruthfulQA goes by the labels of its answers; the suite takes every answer behind the first false one for false, which two of 817 questions are not made for.',
    'BoolQ, like the rest of GPT4All and AGIEval, is asked as lm-evaluation-harness does it today: of two equally likely answers the first counts as picked, where the suite takes "no".',
    'With a limit the first documents of a file are asked, but for BIG-bench; the suite shuffles them before.',
    'The average is that of the unrounded averages; the suite rounds those of its four parts first.',
  ],
}

const mmluTitles: Readonly<Record<MmluGroup, string>> = {
  stem: 'STEM',
  other: 'Other',
  social_sciences: 'Social sciences',
  humanities: 'Humanities',
}
const mmluGroups = Object.keys(mmluTitles) as MmluGroup[]
const mmluGroup = (group: MmluGroup): SuiteGroup => ({
  name: `mmlu_${group}`,
  title: mmluTitles[group],
  members: ask(mmluTasks(group), 'LM_EVAL'),
})
const bySize = (title: string, groups: readonly SuiteGroup[]): SuiteEntry => ({
  title,
  groups,
  weighting: 'BY_SIZE',
  meanOf: 'TASKS',
  roundsGroups: false,
  corrections: [],
})

/** By name, in the order in which people are shown them. */
export const suites: ReadonlyMap<string, SuiteEntry> = new Map<string, SuiteEntry>([
  ['nous', nous],
  ['nous-fixed', nousFixed],
  ...['agieval', 'gpt4all', 'bigbench'].map((name): [string, SuiteEntry] => {
    const group = nousFixed.groups.find((g) => g.name === name)!
    return [name, { ...nousFixed, title: group.title, groups: [group], corrections: [] }]
  }),
  ['agieval_nous', bySize('AGIEval as lm-evaluation-harness groups it', [nousFixed.groups[0]!])],
  ['mmlu', bySize('MMLU', mmluGroups.map(mmluGroup))],
  ...mmluGroups.map((group): [string, SuiteEntry] => [
    `mmlu_${group}`,
    bySize(`MMLU: ${mmluTitles[group]}`, [mmluGroup(group)]),
  ]),
])

/** Every task of a suite. */
export const membersOf = ({ groups }: Pick<SuiteEntry, 'groups'>): SuiteMember[] =>
  groups.flatMap(({ members }) => members)
