/** When two scores mean the same thing. */
import type { EvaluationSettings } from '#schema/spec.ts'
import { canonical, sha256 } from '../canonical.ts'

/** sha256 of the settings as canonical JSON: equal exactly when evaluations are comparable and reusable. */
export const settingsHash = (settings: EvaluationSettings): string => sha256(canonical(settings))
