/** Whether the context that leads makes progress. */
import type { EventShape } from '../events/event.js'
import type { EventReader } from '../log/event-store.js'
import type { ReadPage } from '../log/pages.js'
import { pauseBefore } from '../platform/backoff.js'
import { sleep } from '../platform/clock.js'
import type { RunContext } from './run-context.js'
import { workingPosition, type ProjectionState } from './target.js'

/**
 * A follower works without the lock if the projection was behind the log, and neither checkpoint nor epoch moved, for
 * this time, ms.
 */
export const stallTimeout = 5_000

/**
 * How long a follower waits before that, ms. Twice as long after each contest in which nothing was committed: otherwise
 * two slow contexts would alternate, and neither would ever commit.
 */
export const patience = (contests: number): number => pauseBefore(contests, { delay: stallTimeout, maxDelay: 300_000 })

/**
 * Resolves once the projection was behind, and neither its checkpoint nor its epoch moved, for `span` ms; also when
 * aborted.
 */
export async function stalled<E extends EventShape>(
  { target, ports, settings: { clock } }: RunContext<E>,
  span: number,
  signal: AbortSignal,
): Promise<void> {
  const state = () => target.state().catch(() => undefined)
  const resting = () => ports.resting?.()
  let late = 0
  let before: ProjectionState | undefined
  for (;;) {
    before ??= resting() ?? (await state())
    const since = clock.monotonic()
    await sleep(clock, span * (1 + 0.2 * clock.random()), signal)
    if (signal.aborted) return
    const rest = resting()
    if (rest !== undefined) {
      before = rest
      continue
    }
    const [after, head] = await Promise.all([state(), headAfter(ports.reader, before?.position ?? 0)])
    const was = before
    before = after
    // A read that fails says nothing about the leader.
    if (was === undefined || after === undefined || head === undefined) continue
    // Far more time than the timer's: this context slept, and may not judge others (H56). Twice in a row: its timers
    // are slow (H58).
    late = clock.monotonic() - since > 4 * span ? late + 1 : 0
    const moved = workingPosition(after) !== workingPosition(was) || after.epoch !== was.epoch
    const behind = head > after.position || after.rebuild !== undefined
    if (late !== 1 && !moved && behind && !after.paused) return
  }
}

/** The head of the log, which is not before `position`; nothing if it cannot be read. */
export const headAfter = <E extends EventShape>(
  reader: EventReader<E>,
  position: number,
): Promise<number | undefined> =>
  (reader as { readPage: ReadPage<E> }).readPage({ after: position, limit: 1 }, { unreadable: 'collect' }).then(
    ({ head }) => head,
    () => undefined,
  )
