/** The one status of an app, made of those of its projections. Pure. */
import { messageOf } from '../errors.js'
import type { ProjectionStatus } from '../running/status.js'

/** The state of an app, as this context knows it: that of the model that is worst off. */
export interface AppStatus<Name extends string = string> {
  /**
   * - `'idle'`: not used yet
   * - `'opening'`: the store is being opened, or nothing is known of a model yet
   * - `'live'`: every model is at the head, whichever context runs it
   * - `'behind'`: a model is behind and works, or is being rebuilt
   * - `'stalled'`: a model does not move (stalled, paused, faulted, or no context runs it), or its last rebuild was given
   *   up, so that its rows are those from before it
   * - `'failed'`: the store does not open; see `error`
   * - `'closed'`: by `close()`, or because newer code of the app took over
   */
  readonly phase: 'idle' | 'opening' | 'live' | 'behind' | 'stalled' | 'failed' | 'closed'
  /** How many events that model is behind the log. */
  readonly behind: number
  /** Which model, or the name of a plain projector. Absent while all are live. */
  readonly model?: string
  /** Why it does not move, or why its rebuild was given up, in words. */
  readonly message?: string
  /** What failed: the opening of the store, or what the model that is worst off met last. Absent while all are live. */
  readonly error?: unknown
  /** The status of each model. */
  readonly models: { readonly [N in Name]: ProjectionStatus }
}

/** From the worst. */
const ranks = ['stalled', 'opening', 'behind', 'live'] as const

/** A projection in one of these phases does not move. */
const still: readonly ProjectionStatus['phase'][] = ['stalled', 'not-running', 'paused', 'faulted', 'stopped']

/** What a projection's status means for an app. */
export function appPhaseOf({ phase, behind, rebuilding, rebuildFault }: ProjectionStatus): (typeof ranks)[number] {
  if (still.includes(phase)) return 'stalled'
  if (phase === 'starting') return 'opening'
  if (rebuildFault !== undefined && rebuilding === undefined) return 'stalled'
  return phase === 'retrying' || behind > 0 || rebuilding !== undefined ? 'behind' : 'live'
}

/** The status of an app whose store is open. `others`: of plain projectors, by name. */
export function appStatus(
  models: { readonly [name: string]: ProjectionStatus },
  others: { readonly [name: string]: ProjectionStatus } = {},
): AppStatus {
  const [worst] = [...Object.entries(models), ...Object.entries(others)]
    .map(([model, status]) => ({ ...status, model, phase: appPhaseOf(status) }))
    .sort((one, other) => ranks.indexOf(one.phase) - ranks.indexOf(other.phase) || other.behind - one.behind)
  if (worst === undefined || worst.phase === 'live') return { phase: 'live', behind: 0, models }
  const { phase, behind, model, message, lastError: error } = worst
  return {
    phase,
    behind,
    model,
    ...(message !== undefined && { message }),
    ...(error !== undefined && { error }),
    models,
  }
}

/** The status of an app whose store is not open. */
export const notOpen = (
  phase: 'idle' | 'opening' | 'failed' | 'closed',
  models: { readonly [name: string]: ProjectionStatus },
  error?: unknown,
): AppStatus => ({
  phase,
  behind: 0,
  ...(error !== undefined && { message: messageOf(error), error }),
  models,
})
