/** When two scores mean the same thing. */
import { createHash } from 'node:crypto'
import type { EvaluationSettings } from '#schema/spec.ts'

/** sha256 of the settings as JSON with sorted keys: equal exactly when evaluations are comparable and reusable. */
export function settingsHash(settings: EvaluationSettings): string {
  // A list as the second argument also fixes the order; the settings are flat.
  const canonical = JSON.stringify(settings, Object.keys(settings).sort())
  return createHash('sha256').update(canonical).digest('hex')
}
