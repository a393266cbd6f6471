/** What a restored server took back, for the app: so that what no device gives back is not lost without a trace. */
import type { EventShape, RecordedEvent } from '../events/event.js'
import type { ReadOptions } from '../log/event-store.js'
import { storeInternals, type TidemarkStore } from '../log/open.js'
import { finishStream } from '../log/pages.js'
import type { PreparedAppend } from '../log/prepared-append.js'
import type { StoredEvent } from '../log/record/record-text.js'
import { assertSignal, onlyKnown } from '../platform/arguments.js'
import { atticPage } from './indexeddb/attic-page.js'
import { isShown } from './overlay/in-rows.js'
import { syncPartsOf, type SyncParts } from './sync-parts.js'
import type { ConfirmedEvents } from './sync-storage.js'
import type { SyncedStore } from './synced-store.js'

/** An event that was in the log of this device before the server was restored to an earlier state. */
export type TakenBackEvent<E extends EventShape = EventShape> = RecordedEvent<E> & {
  /** The id that the log had: its position and version are those in that log. */
  readonly log: string
  /** The position of the first event of its commit, in that log. */
  readonly commit: number
  /**
   * Whether it is there again, by its id: `'confirmed'` in the log, `'pending'` in the outbox of this device, or
   * `'missing'`, as the device that appended it did not give it back yet.
   */
  readonly status: 'confirmed' | 'pending' | 'missing'
}

/**
 * What restored servers took back, and also the log of before a `resync()`: events that were in the log of this device,
 * of all devices, the oldest first. Own commits among them were given back; those of others come back with their
 * devices. They are kept for 90 days, and longer while own ones are still to be given back.
 *
 * @throws InvalidArgumentError, ClosedError synchronously: for a store of another kind, and one that was closed
 * @throws EventUnreadableError, LogInconsistentError while it is read, at the first event that cannot be read
 *
 * @example
 * const lost: TakenBackEvent[] = []
 * for await (const event of readTakenBack(synced)) if (event.status === 'missing') lost.push(event)
 * const file = new Blob([JSON.stringify(lost)], { type: 'application/json' })
 */
export function readTakenBack<E extends EventShape>(
  store: SyncedStore<E>,
  options: ReadOptions = {},
): AsyncIterable<TakenBackEvent<E>> {
  const parts = syncPartsOf(store)
  parts.assertOpen()
  onlyKnown(options, ['signal'])
  assertSignal(options.signal)
  return events<E>(parts, pages(store as unknown as TidemarkStore, parts), options.signal)
}

interface Page extends ConfirmedEvents {
  readonly log: string
}

/** What was taken back, identity by identity. */
async function* pages(store: TidemarkStore, { storage }: SyncParts): AsyncGenerator<Page, void, undefined> {
  const internals = storeInternals(store)
  for (const { identity, upTo } of (await storage.load()).state.left) {
    if (internals.medium !== 'indexeddb') {
      const kept = internals.medium === 'memory' ? internals.log.attic.get(identity) : undefined
      if (kept !== undefined) yield { ...kept, log: identity }
      continue
    }
    for (let next: number | undefined = 0; next !== undefined;) {
      const page: Awaited<ReturnType<typeof atticPage>> = await atticPage(internals.connection, identity, next)
      next = page.next
      // A record may hold what stayed in the log, too.
      yield { ...page, events: page.events.filter(({ position }) => position > upTo), log: identity }
    }
  }
}

async function* events<E extends EventShape>(
  { storage, decoding }: SyncParts,
  taken: AsyncIterable<Page>,
  signal: AbortSignal | undefined,
): AsyncGenerator<TakenBackEvent<E>, void, undefined> {
  signal?.throwIfAborted()
  let commit = 0
  for await (const { events: found, starts, log } of taken) {
    signal?.throwIfAborted()
    const pending = await pendingIds(storage)
    const known = await inLog(storage, found)
    for await (const page of finishStream<E>({ found, broken: new Map() }, decoding, signal))
      for (const event of page) {
        if (starts.has(event.position)) commit = event.position
        const status = known.has(event.id) ? 'confirmed' : pending.has(event.id) ? 'pending' : 'missing'
        yield { ...event, log, commit, status }
        signal?.throwIfAborted()
      }
  }
}

/** The ids that pending commits have or had. */
async function pendingIds(storage: SyncParts['storage']): Promise<ReadonlySet<string>> {
  const { outbox } = await storage.load()
  return new Set(outbox.filter(isShown).flatMap(({ events, had = [] }) => [...events.map(({ id }) => id), ...had]))
}

async function inLog(storage: SyncParts['storage'], found: readonly StoredEvent[]) {
  const asked = found.map(({ id }) => ({ id, idGiven: true })) as unknown as PreparedAppend['events']
  return (await storage.facts({ events: asked, expected: new Map(), condition: undefined, pathOf: String })).known
}
