/** Whether a batch that waits for its turn has still something to wait for. */
import type { EventShape } from '../events/event.js'
import { pauseBefore } from '../platform/backoff.js'
import { sleep } from '../platform/clock.js'
import type { ProjectionResult } from './projector.js'
import type { RunContext } from './run-context.js'
import { headAfter } from './stall-watch.js'
import { workingPosition } from './target.js'

/** Pauses between two looks at what the leader has done, ms. */
const lookBackoff = { delay: 20, maxDelay: 1_000 }

/**
 * Resolves once another context has covered the head as of the call, or paused the projection, or the budget of the
 * batch is spent; also when aborted.
 */
export async function doneElsewhere<E extends EventShape>(
  { target, ports, run, settings: { clock, budgetTime } }: RunContext<E>,
  signal: AbortSignal,
): Promise<ProjectionResult['reason']> {
  const began = (run.startedAt ??= clock.monotonic())
  let goal: number | undefined
  for (let looks = 0; ; looks += 1) {
    const state = await target.state().catch(() => undefined)
    if (state !== undefined) {
      run.position = workingPosition(state)
      goal ??= await headAfter(ports.reader, state.position)
      if (state.rebuild === undefined && state.position >= (goal ?? Infinity)) return 'caught-up'
      if (state.paused) return 'paused'
    }
    const left = began + budgetTime - clock.monotonic()
    if (left <= 0) return 'budget'
    await sleep(clock, Math.min(left, pauseBefore(looks, lookBackoff)), signal)
    if (signal.aborted) return 'aborted'
  }
}
