/** AGIEval: entrance examinations for people, the eight English tasks of multiple choice. */
import type { TaskEntry } from '../tasks.ts'

const entry = (name: string, title: string) =>
  ({
    version: 1,
    title: `AGIEval: ${title}`,
    kind: 'multiple_choice',
    rows: `agieval_${name}.jsonl`,
    examples: null,
    fewShot: 0,
    dialects: ['LM_EVAL', 'NOUS'],
    metrics: ['acc', 'acc_norm'],
    headline: 'acc_norm',
  }) as const satisfies TaskEntry

export const agieval = {
  agieval_aqua_rat: entry('aqua_rat', 'AQuA-RAT, algebra'),
  agieval_logiqa_en: entry('logiqa_en', 'LogiQA, English'),
  agieval_lsat_ar: entry('lsat_ar', 'LSAT, analytical reasoning'),
  agieval_lsat_lr: entry('lsat_lr', 'LSAT, logical reasoning'),
  agieval_lsat_rc: entry('lsat_rc', 'LSAT, reading comprehension'),
  agieval_sat_en: entry('sat_en', 'SAT, English'),
  agieval_sat_en_without_passage: entry(
    'sat_en_without_passage',
    'SAT, English, without the passage',
  ),
  agieval_sat_math: entry('sat_math', 'SAT, mathematics'),
} as const
