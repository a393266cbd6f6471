/** Starts syncing: in every tab, of which one works. */
import { InvalidArgumentError } from '../errors.js'
import { say } from '../messages.js'
import type { EventShape } from '../events/event.js'
import { randomId } from '../events/identifier.js'
import { assertSignal, onlyKnown } from '../platform/arguments.js'
import { disposable } from '../platform/disposable.js'
import { pageLifecycle } from '../platform/page-lifecycle.js'
import type { StatusStore } from '../running/status.js'
import { syncPartsOf } from './sync-parts.js'
import { SyncShell } from './sync-shell.js'
import type { SyncedStore } from './synced-store.js'
import type { SyncStatus } from './sync-status.js'

/** How a device learns of new events. */
export type WakeKind = 'events' | 'websocket' | 'poll'

/** What `startSync` takes. */
export interface StartSyncOptions {
  /** Stops it, as `stop()` does. */
  readonly signal?: AbortSignal | undefined
  /**
   * How this device learns of new events: `'events'` keeps a stream of hints open, `'websocket'` a WebSocket, for servers
   * that have it, such as Durable Objects, and the stream where one cannot be opened; `'poll'` asks once a minute.
   * @default 'events'
   */
  readonly wake?: WakeKind
}

export const isWakeKind = (value: unknown): value is WakeKind =>
  value === 'events' || value === 'websocket' || value === 'poll'

/** Syncing of a store, as seen from this context. */
export interface SyncHandle {
  /** The same in every tab; for `useSyncExternalStore` or any other way to follow a value. */
  readonly status: StatusStore<SyncStatus>
  /**
   * Sends and fetches now, also where the next try is due later: for a button, and for tests. Resolves with the status
   * after one round; that of a paused store immediately. Where the network does not respond, a round takes 30 s, and one
   * that is under way comes first: give it a signal where a person waits. Rejects with the signal's reason, or with
   * ClosedError.
   */
  now(options?: { readonly signal?: AbortSignal | undefined }): Promise<SyncStatus>
  /** Sends and fetches nothing until `resume()`, in all tabs, also after a reload. Rejects with ClosedError once stopped. */
  pause(): Promise<void>
  /** After `pause()`; and tries again after a new sign-in, or whatever else made it stop. */
  resume(): Promise<void>
  /** Ends it in this context. Resolves when nothing of it is under way any more. */
  stop(): Promise<void>
  /**
   * After 'other-log', 'scope-changed' or 'inconsistent': fetches the log again from its beginning. The outbox stays;
   * rows of read models stay until they are made again.
   */
  resync(): Promise<void>
  /** The same as `stop`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Syncs a store until it is stopped or closed. Call it in every tab: one of them works, and another one takes over when
 * that ends.
 *
 * @throws InvalidArgumentError for anything that is not a synced store, and for unknown options; ClosedError
 *
 * @example
 * const sync = startSync(store)
 * sync.status.subscribe(() => console.log(sync.status.getSnapshot().pending))
 */
export function startSync<E extends EventShape = EventShape>(
  store: SyncedStore<E>,
  options: StartSyncOptions = {},
): SyncHandle {
  const parts = syncPartsOf(store)
  onlyKnown(options, ['signal', 'wake'])
  const { signal, wake = 'events' } = options
  assertSignal(signal)
  if (!isWakeKind(wake)) throw new InvalidArgumentError('wake', say`must be 'events', 'websocket' or 'poll'.`)
  parts.assertOpen()
  const shell = new SyncShell(parts, { wake, owner: randomId(), lifecycle: pageLifecycle() })
  shell.start(signal)
  return disposable<SyncHandle>(
    {
      status: shell.status,
      now: async (asked = {}) => {
        onlyKnown(asked, ['signal'])
        assertSignal(asked.signal)
        return shell.now(asked.signal)
      },
      pause: () => shell.pause(true),
      resume: () => shell.pause(false),
      stop: () => shell.stop(),
      resync: () => shell.resync(),
    },
    () => shell.stop(),
  )
}
