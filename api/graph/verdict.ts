/** Gates: whether a candidate may take its baseline's place. */
import { GateClause } from '#schema/spec.ts'
import type { Gate, Judgement } from '../evaluation/gate.ts'
import { judgeComparison } from '../evaluation/judge.ts'
import { InvalidInput, NotFound } from '../problem.ts'
import { builder } from './builder.ts'
import { rowId } from './id.ts'

const member = { member: true }

const VerdictType = builder.enumType('Verdict', {
  description: 'What a rule comes to.',
  values: {
    PASS: { description: 'The samples speak for it.' },
    FAIL: { description: 'The samples speak against it.' },
    UNDECIDED: { description: 'They do neither: it takes more of them.' },
  },
})

const ClaimType = builder.enumType('Claim', {
  description: 'What a rule claims of the difference, candidate minus baseline.',
  values: {
    SUPERIORITY: { description: 'It is above the margin.' },
    NON_INFERIORITY: { description: 'It is above minus the margin.' },
  },
})

const AdjustType = builder.enumType('Adjustment', {
  description: 'Whether the verdicts of several rules hold at once.',
  values: {
    NONE: { description: 'Each by itself; enough for the PASS of all, which needs every one.' },
    HOLM: { description: 'All at once, by their p-values after Holm.' },
  },
})

const CauseType = builder.enumType('StoppingCause', {
  description: 'Why a sequential rule needed no more documents.',
  values: {
    CERTAIN: { description: 'No scores of the remaining ones could change the verdict.' },
    INTERVAL: {
      description: "The difference's interval, which holds at every look, excludes the bound.",
    },
  },
})

/** What there is a number for only where something could be paired. */
const finite = (value: number): number | null => (Number.isFinite(value) ? value : null)

const JudgementType = builder.objectRef<Judgement>('Judgement').implement({
  description: 'One rule, and what the samples say of it.',
  authScopes: member,
  fields: (t) => ({
    verdict: t.expose('verdict', { type: VerdictType, description: 'What it comes to.' }),
    reason: t.exposeString('reason', { description: 'Why, in words.' }),
    kind: t.field({
      type: ClaimType,
      description: 'What is claimed.',
      resolve: ({ rule }) => rule.kind,
    }),
    margin: t.float({ description: "The rule's margin.", resolve: ({ rule }) => rule.margin }),
    task: t.string({
      nullable: true,
      description: 'The task it is about; null for a mean over tasks.',
      resolve: ({ rule }) => rule.task,
    }),
    n: t.exposeInt('n', { description: 'How many samples both were scored on.' }),
    leftOut: t.exposeInt('leftOut', { description: 'How many could not be paired.' }),
    difference: t.float({
      nullable: true,
      description: 'Candidate minus baseline; null where nothing could be paired.',
      resolve: ({ difference }) => finite(difference),
    }),
    low: t.float({
      nullable: true,
      description: "The lower end of the difference's interval.",
      resolve: ({ low }) => finite(low),
    }),
    high: t.float({
      nullable: true,
      description: "The upper end of the difference's interval.",
      resolve: ({ high }) => finite(high),
    }),
    level: t.exposeFloat('level', {
      description: "The interval's confidence level: 1 - 2 alpha, either end being one-sided.",
    }),
    pValue: t.exposeFloat('pValue', {
      nullable: true,
      description:
        'One-sided, of the claim being false; adjusted where that was asked for. Null where the verdict came before the last document.',
    }),
    because: t.field({
      type: CauseType,
      nullable: true,
      description:
        'What ended a sequential rule before its last document; null for rules over all documents.',
      resolve: ({ stopped }) => stopped?.because ?? null,
    }),
    used: t.int({
      nullable: true,
      description: 'How many documents the verdict rests on that came before the last one.',
      resolve: ({ stopped }) => stopped?.used ?? null,
    }),
    saved: t.int({
      nullable: true,
      description: 'How many documents were then never scored.',
      resolve: ({ stopped }) => stopped?.saved ?? null,
    }),
    detectable: t.exposeFloat('detectable', {
      nullable: true,
      description:
        "The smallest distance of the true difference to the rule's bound that these samples decide at 80% power.",
    }),
    needed: t.exposeFloat('needed', {
      nullable: true,
      description:
        'Where UNDECIDED: how many samples decide at 80% power, if the true difference is the observed one.',
    }),
  }),
})

export const GateType = builder.objectRef<Gate>('Gate').implement({
  description: 'Rules over a comparison: one FAIL fails it, without one an UNDECIDED leaves it so.',
  authScopes: member,
  fields: (t) => ({
    verdict: t.expose('verdict', { type: VerdictType, description: 'Of all rules together.' }),
    judgements: t.field({
      type: [JudgementType],
      description: "Rule by rule, in the rules' order.",
      resolve: ({ judgements }) => [...judgements],
    }),
  }),
})

const GateRuleInput = builder.inputType('GateRuleInput', {
  description:
    'A claim about one task, some tasks, or a suite; without these about the mean over all tasks of the comparison.',
  fields: (t) => ({
    kind: t.field({ type: ClaimType, required: true, description: 'What is claimed.' }),
    margin: t.float({
      required: true,
      description: "From 0, on the metric's scale: 0.01 is a percentage point of an accuracy.",
    }),
    alpha: t.float({
      description: 'The one-sided probability of a wrong verdict, below 0.5. Default: 0.05.',
    }),
    task: t.string({ description: 'About this task.' }),
    tasks: t.stringList({ description: 'About the mean over these tasks, each counting once.' }),
    suite: t.string({ description: 'About the value of this suite, all of whose tasks it needs.' }),
    metric: t.string({ description: "Default: each task's headline." }),
  }),
})

export const GateInput = builder.inputType('GateInput', {
  description: 'What an adapter has to show against its base model.',
  fields: (t) => ({
    rules: t.field({
      type: [GateRuleInput],
      required: true,
      description: 'At least one, at most 200.',
    }),
    adjust: t.field({ type: AdjustType, description: 'Default: NONE.' }),
    sequential: t.boolean({
      description:
        'Whether a task ends, for base and adapter, as soon as its rule has a verdict; documents come in random order then. One rule a task, of scores in [0, 1] by likelihood. A fifth of alpha is spent on looking. Default: false.',
    }),
  }),
})

builder.queryField('gate', (t) =>
  t.withAuth(member).field({
    type: GateType,
    description: 'Judges a comparison by rules; nothing is stored.',
    args: {
      comparison: t.arg.id({ required: true, description: "The comparison's id." }),
      rules: t.arg({
        type: [GateRuleInput],
        required: true,
        description: 'At least one, at most 200.',
      }),
      adjust: t.arg({ type: AdjustType, description: 'Default: NONE.' }),
    },
    errors: {
      types: [InvalidInput, NotFound],
      union: { name: 'GateResult', description: 'What gate answers.' },
    },
    resolve: (_root, { comparison, rules, adjust }, { db }) =>
      judgeComparison(db, rowId('Comparison', comparison), clauseOf({ rules, adjust })),
  }),
)

function clauseOf({ rules, adjust }: { readonly rules: readonly object[]; adjust?: unknown }) {
  const present = (given: object) =>
    Object.fromEntries(Object.entries(given).filter(([, value]) => value != null))
  const parsed = GateClause.safeParse(present({ rules: rules.map(present), adjust }))
  if (parsed.success) return parsed.data
  throw new InvalidInput(
    parsed.error.issues.map(({ path, message }) => ({ path: path.map(String), message })),
  )
}
