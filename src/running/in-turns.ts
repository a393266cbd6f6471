/** Runs that share a budget: each gets its part of what is left, and another one of what the others did not need. */
import { hasCode } from '../errors.js'
import type { ProjectionOptions, Settings } from '../projection/config.js'
import type { ProjectionResult } from '../projection/projector.js'

/** Runs one projection, within its part. */
export type Turn = (
  how: Required<Pick<ProjectionOptions, 'leadership' | 'budget'>> & { readonly signal: AbortSignal | undefined },
) => Promise<ProjectionResult>

/** In the order of the runs: what each did altogether, or why it failed. */
export type Outcome = ProjectionResult | { readonly error: unknown }

/**
 * Gives each run its turns, one after the other. Never rejects.
 *
 * @param waits a projection that another context runs is waited for, once the others had their turn
 */
export async function inTurns(
  runs: readonly Turn[],
  { clock, budgetTime, budgetEvents, leadership }: Settings,
  signal: AbortSignal | undefined,
  waits = false,
): Promise<readonly Outcome[]> {
  const end = clock.monotonic() + budgetTime
  const ended = new AbortController()
  ended.abort()
  const outcomes: Outcome[] = []
  let events = budgetEvents
  let waiting = [...runs.entries()]
  for (let how = leadership; waiting.length > 0; how = 'wait') {
    const again: typeof waiting = []
    let parts = waiting.length
    for (const each of waiting) {
      const [at, run] = each
      const before = outcomes[at] as ProjectionResult | undefined
      const left = end - clock.monotonic()
      // At least one event is applied, however little time there was.
      const isOver = events <= 0 || signal?.aborted === true || (left <= 0 && outcomes.length > 0)
      if (isOver && before !== undefined) continue
      const budget = { maxTime: Math.max(0, left) / parts, maxEvents: Math.max(1, Math.ceil(events / parts)) }
      parts -= 1
      try {
        // Without budget left, a run applies nothing and reports its position.
        const result = await run({ leadership: how, budget, signal: isOver ? ended.signal : signal })
        const { applied, skipped, parked } = result
        events -= applied
        outcomes[at] = {
          ...result,
          applied: applied + (before?.applied ?? 0),
          skipped: skipped + (before?.skipped ?? 0),
          parked: parked + (before?.parked ?? 0),
          ...(isOver && signal?.aborted !== true && { reason: 'budget' }),
        }
        // A longer part of what is left may be enough for the pause.
        const { reason, nextTry = 0 } = result
        if (reason === 'budget' || (reason === 'retrying' && nextTry - clock.now() <= end - clock.monotonic()))
          again.push(each)
      } catch (error) {
        if (waits && how === 'try' && hasCode(error, 'already-running')) again.push(each)
        else outcomes[at] = { error }
      }
    }
    waiting = again
  }
  return outcomes
}
