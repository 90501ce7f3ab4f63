/**
 * HellaSwag (Zellers et al. 2019), as lm-evaluation-harness asks it: the activity, what happens, and
 * how it goes on. Rows made from wikiHow hold marks in brackets, which are cleaned away:
 *
 *     Pole vault: Pole vault is a sport where … your body. A few women| are in the gym …
 */
import { capitalize, strip } from '../python.ts'
import { columns } from './columns.ts'
import type { ChoiceTask } from './task.ts'

export const hellaswag: ChoiceTask = {
  kind: 'multiple_choice',
  document(value, row) {
    const read = columns(value, row, 'hellaswag')
    const endings = read.texts('endings')
    const what = `${read.text('ctx_a')} ${capitalize(read.text('ctx_b', { orEmpty: true }))}`
    return {
      text: clean(`${read.text('activity_label')}: ${what}`),
      choices: endings.map(clean),
      gold: [read.index('label', endings)],
    }
  },
}

/** Blanks are stripped first: where a mark stood at the beginning, one stays, and counts in acc_norm. */
const clean = (text: string): string =>
  strip(text)
    .replaceAll(' [title]', '. ')
    .replaceAll(/\[[^\n]*?\]/g, '')
    .replaceAll('  ', ' ')
