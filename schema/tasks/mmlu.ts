/** MMLU: 57 subjects, in the four groups of lm-evaluation-harness. */
import type { TaskEntry } from '../tasks.ts'

const groups = {
  stem: [
    'abstract_algebra',
    'anatomy',
    'astronomy',
    'college_biology',
    'college_chemistry',
    'college_computer_science',
    'college_mathematics',
    'college_physics',
    'computer_security',
    'conceptual_physics',
    'electrical_engineering',
    'elementary_mathematics',
    'high_school_biology',
    'high_school_chemistry',
    'high_school_computer_science',
    'high_school_mathematics',
    'high_school_physics',
    'high_school_statistics',
    'machine_learning',
  ],
  other: [
    'business_ethics',
    'clinical_knowledge',
    'college_medicine',
    'global_facts',
    'human_aging',
    'management',
    'marketing',
    'medical_genetics',
    'miscellaneous',
    'nutrition',
    'professional_accounting',
    'professional_medicine',
    'virology',
  ],
  social_sciences: [
    'econometrics',
    'high_school_geography',
    'high_school_government_and_politics',
    'high_school_macroeconomics',
    'high_school_microeconomics',
    'high_school_psychology',
    'human_sexuality',
    'professional_psychology',
    'public_relations',
    'security_studies',
    'sociology',
    'us_foreign_policy',
  ],
  humanities: [
    'formal_logic',
    'high_school_european_history',
    'high_school_us_history',
    'high_school_world_history',
    'international_law',
    'jurisprudence',
    'logical_fallacies',
    'moral_disputes',
    'moral_scenarios',
    'philosophy',
    'prehistory',
    'professional_law',
    'world_religions',
  ],
} as const satisfies Record<string, readonly string[]>

export type MmluGroup = keyof typeof groups

/** Names of a group's tasks. */
export const mmluTasks = (group: MmluGroup): string[] =>
  groups[group].map((subject) => `mmlu_${subject}`)

const entry = (subject: string): TaskEntry => ({
  version: 1,
  title: `MMLU: ${subject.replaceAll('_', ' ')}`,
  kind: 'multiple_choice',
  rows: `mmlu_${subject}.test.jsonl`,
  examples: `mmlu_${subject}.dev.jsonl`,
  fewShot: 0,
  dialects: ['LM_EVAL', 'NOUS'],
  metrics: ['acc', 'acc_norm'],
  headline: 'acc',
})

export const mmlu: Readonly<Record<string, TaskEntry>> = Object.fromEntries(
  Object.values(groups)
    .flat()
    .map((subject) => [`mmlu_${subject}`, entry(subject)]),
)
