/** Following the log of a synced store, whose end a restored server may take back. */
import { hasCode } from '../errors.js'
import type { EventShape, RecordedEvent } from '../events/event.js'
import type { FollowOptions } from '../log/event-store.js'
import { follow } from '../log/follow.js'
import type { ReadPage } from '../log/pages.js'
import { toldPage, type Tap } from '../log/tap.js'
import type { Clock } from '../platform/clock.js'
import type { OutboxKeeper } from './outbox-keeper.js'
import { sameUpTo } from './overlay/in-rows.js'

/** What following needs of a synced store. */
export interface FollowParts<E extends EventShape> {
  readonly outbox: Pick<OutboxKeeper, 'fresh'>
  /** Calls back when the log or the outbox may be another one. Returns how to stop that. */
  onChange(listener: () => void): () => void
  readonly readPage: ReadPage<E>
  readonly tap: Tap
  readonly clock: Clock
  readonly closing: AbortSignal
}

/**
 * As `follow` of a local store. Where the log was taken back, the loop continues from there: with what is at those
 * positions now.
 *
 * @param options checked
 */
export function followLog<E extends EventShape>(
  options: FollowOptions<E>,
  { outbox, onChange, readPage, tap, clock, closing }: FollowParts<E>,
): AsyncIterableIterator<RecordedEvent<E>, undefined> {
  /** Of the log that the last page is of. */
  let identity: string | undefined
  /** Where the log is read on that was read up to a position. */
  const startOf = async (after: number): Promise<number> => {
    try {
      const { state } = await outbox.fresh()
      const start = identity === undefined ? after : Math.min(after, sameUpTo(state, identity))
      identity = state.identity
      return start
    } catch (error) {
      // Confirmed events can be read from a store whose outbox was damaged.
      if (hasCode(error, 'storage-damaged')) return after
      throw error
    }
  }
  const page: ReadPage<E> = async ({ after = 0, ...request }, how) => {
    let start = identity === undefined ? await startOf(after) : after
    for (;;) {
      const read = await toldPage(tap, () => readPage({ ...request, after: start }, how))
      const before = identity
      const now = await startOf(start)
      // It was taken back since the last page, maybe while this one was read: that is of the log that is there now.
      if (identity === before) return read
      start = now
    }
  }
  // Not by its head, which may be behind the one that is known.
  const watch = { follow: (listener: () => void) => onChange(() => listener()) }
  return follow<E>(page, options, { clock, watch, closing })
}
