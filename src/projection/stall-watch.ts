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

/** What a follower saw last. */
interface Seen {
  readonly state: ProjectionState
  /** Whether the projection was behind the log, as far as it is known. */
  readonly isBehind: boolean
  /** It moved since the look before, or is about to. */
  readonly isLively?: boolean
  /** Since when it is behind and does not move, or is not behind. */
  readonly since: number
}

/**
 * Resolves once the projection was behind, and neither its checkpoint nor its epoch moved, for `span` ms and up to a
 * fifth more; also when aborted. A leader that moves is looked at each fifth of it, since what counts is when it moved
 * last. Until another context says that something was appended, one look each `span` is enough.
 */
export async function stalled<E extends EventShape>(
  { target, ports: { reader, resting, onHint, onBehind }, settings: { clock } }: RunContext<E>,
  span: number,
  signal: AbortSignal,
): Promise<void> {
  let hinted = 0
  let seen: Seen | undefined
  let nap: AbortController | undefined
  const heard = (head: number) => {
    hinted = Math.max(hinted, head)
    if (seen?.isBehind === false && hinted > seen.state.position) nap?.abort()
  }
  const abort = () => nap?.abort()
  const undo = [onHint === undefined ? reader.subscribe?.(heard) : onHint(heard), onBehind?.(heard)]
  signal.addEventListener('abort', abort)
  const look = async (): Promise<Seen | undefined> => {
    const state = await target.state().catch(() => undefined)
    if (state === undefined) return undefined
    const { position, epoch, paused, rebuild } = state
    const was = seen?.state
    const hasMoved = was !== undefined && (workingPosition(state) !== workingPosition(was) || epoch !== was.epoch)
    const head = hasMoved && hinted > position ? hinted : await headAfter(reader, position)
    // A read that fails says nothing about the leader.
    if (head === undefined) return undefined
    const isBehind = !paused && (head > position || rebuild !== undefined)
    const since = hasMoved || seen?.isBehind !== true ? undefined : seen.since
    return { state, isBehind, isLively: hasMoved || was === undefined, since: since ?? clock.monotonic() }
  }
  let late = 0
  while (!signal.aborted) {
    const state = resting?.()
    const now = clock.monotonic()
    if (state !== undefined) seen = { state, isBehind: false, since: now }
    else if (nap?.signal.aborted === true && seen !== undefined)
      seen = { ...seen, isBehind: true, isLively: true, since: now }
    else seen = await look()
    // A context that slept may not judge others (H56). Twice in a row: its timers are slow (H58).
    if (late === 1 && seen !== undefined) seen = { ...seen, since: now }
    const left = seen?.isBehind === true ? seen.since + span - clock.monotonic() : span
    if (left <= 0) break
    const pause = (seen?.isBehind === true && seen.isLively === true ? span / 5 : left) * (1 + 0.2 * clock.random())
    nap = new AbortController()
    const slept = clock.monotonic()
    if (!signal.aborted) await sleep(clock, pause, nap.signal)
    // Far more time than the timer's.
    late = clock.monotonic() - slept > 4 * pause ? late + 1 : 0
  }
  for (const each of undo) each?.()
  signal.removeEventListener('abort', abort)
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
