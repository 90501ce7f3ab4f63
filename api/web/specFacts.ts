/** A run's spec as a list of facts, and whole for those who want to repeat it. */
import { html } from 'hono/html'
import { cutsPrompts, goalOf, type Recipe, type RunSpec } from '#schema/spec.ts'
import { brief, plural, short, whole } from './format.ts'
import type { Html } from './layout.ts'

export function specFacts(spec: RunSpec): Html {
  const facts: [string, string][] = [
    ['Model', spec.model.path],
    ['Revision', short(spec.model.revision)],
  ]
  if (spec.quantization === 'NF4') facts.push(['Base model in', 'NF4'])
  if (spec.kind === 'TRAIN') {
    const { dataset, recipe, lora } = spec
    facts.push(
      ['Dataset', dataset.path],
      [
        'Rows',
        `${dataset.limit === null ? 'all' : `first ${whole(dataset.limit)}`}${dataset.shuffle ? ', shuffled' : ''}, ${dataset.testSize} held out`,
      ],
      ['ORPO', `${recipe.dialect.toLowerCase().replaceAll('_', '-')}, β ${recipe.beta}`],
      [
        'Learning rate',
        `${brief(recipe.learningRate)}, ${recipe.schedule.toLowerCase().replaceAll('_', ' ')}, ${recipe.warmupRatio === null ? plural(recipe.warmupSteps, 'warmup step') : `warmup over ${recipe.warmupRatio} of the run`}`,
      ],
      ['Optimizer', recipe.optimizer.toLowerCase().replaceAll('_', ' ')],
      ['Batch', `${recipe.batchSize} × ${recipe.accumulation}`],
      [
        'Length',
        recipe.maxSteps === null ? plural(recipe.epochs, 'epoch') : plural(recipe.maxSteps, 'step'),
      ],
      ['Kept', kept(recipe)],
      [
        'Tokens per row',
        whole(recipe.maxLength) +
          (cutsPrompts.has(recipe.dialect)
            ? `, of them ${whole(recipe.maxPromptLength)} for the prompt`
            : ''),
      ],
      [
        'LoRA',
        `r ${lora.r}, α ${lora.alpha}${lora.rslora ? ' (rank-stabilized)' : ''}, ${lora.targetModules.map((name) => name.replace('_proj', '')).join(' ')}`,
      ],
      ['Seed', String(recipe.seed)],
    )
  }
  if (spec.kind === 'TRAIN' && spec.benchmarks !== undefined) {
    const { every, tasks: watched } = spec.benchmarks
    const often = every < 1 ? `${every} of the run` : plural(every, 'step')
    const named = watched.map(({ settings: { task, limit } }) => `${task} (first ${limit})`)
    facts.push(['Watched', `every ${often}: ${named.join(', ')}`])
  }
  const tasks = spec.evaluate.map(
    ({ settings }) =>
      settings.task + (settings.limit === null ? '' : ` (first ${whole(settings.limit)})`),
  )
  facts.push(['Scored on', tasks.join(', ') || 'nothing'])
  return html`<dl class="spec">
      ${facts.map(
        ([name, value]) =>
          html`<div>
            <dt>${name}</dt>
            <dd>${value}</dd>
          </div>`,
      )}
    </dl>
    <section>
      <details>
        <summary>The whole spec</summary>
        <pre class="log">${JSON.stringify(spec, null, 2)}</pre>
      </details>
    </section>`
}

/** Recipes that are older than these words have neither. */
function kept({ keepBest, earlyStopping }: Partial<Recipe>): string {
  if (!keepBest) return 'the last step'
  const best = `the best by ${keepBest.metric} (${goalOf(keepBest).toLowerCase()})`
  if (!earlyStopping) return best
  const { patience, minDelta } = earlyStopping
  return `${best}; ends after ${plural(patience, 'evaluation')} without a gain${minDelta > 0 ? ` of ${minDelta}` : ''}`
}
