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
const ranks = ['stalled', 'opening', 'behind'] as const

/** A projection in one of these phases does not move. */
const still: readonly ProjectionStatus['phase'][] = ['stalled', 'not-running', 'paused', 'faulted', 'stopped']

/** What a projection's status means for an app, as a place in {@link ranks}. */
function rankOf({ phase, behind, rebuilding, rebuildFault }: ProjectionStatus): number {
  if (still.includes(phase)) return 0
  if (phase === 'starting') return 1
  if (rebuildFault !== undefined && rebuilding === undefined) return 0
  return phase === 'retrying' || behind > 0 || rebuilding !== undefined ? 2 : 3
}

/** The status of an app whose store is open. `others`: of plain projectors, by name. */
export function appStatus(
  models: { readonly [name: string]: ProjectionStatus },
  others: { readonly [name: string]: ProjectionStatus } = {},
): AppStatus {
  const [worst] = [...Object.entries(models), ...Object.entries(others)]
    .map(([model, status]) => ({ ...status, model, rank: rankOf(status) }))
    .sort((one, other) => one.rank - other.rank || other.behind - one.behind)
  const phase = ranks[worst?.rank ?? 3]
  if (worst === undefined || phase === undefined) return { phase: 'live', behind: 0, models }
  const { behind, model, message, lastError: error } = worst
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
