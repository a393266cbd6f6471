/** What `startSync` and `syncOnce` need of a synced store. */
import { InvalidArgumentError } from '../errors.js'
import type { Decoding } from '../log/pages.js'
import { say } from '../messages.js'
import type { Clock } from '../platform/clock.js'
import { isThenable } from '../platform/promises.js'
import type { Coordinator } from '../ports.js'
import type { DeviceStorage } from './device-storage.js'
import type { OutboxKeeper } from './outbox-keeper.js'
import type { DecisionReply } from './sync-effects.js'
import type { OutboxRow, SyncSnapshot } from './sync-state.js'
import type { SyncStorage } from './sync-storage.js'

/** Where the server is, and how it is asked. */
export interface RemoteOptions {
  /**
   * The address of one log, such as `https://api.example.com/logs/shop-7`, or `/logs/shop-7` on the origin of the page.
   * May have a query; no user, password or fragment.
   */
  readonly url: string
  /**
   * Whose store it is, as the `open` of the server says it: fixed while the store is open. Where the server says that the
   * session is of another user, nothing is sent, and the status is `'stopped'` with `'other-author'`; also before the
   * first contact. @default the one who is signed in at the first contact
   */
  readonly author?: string | undefined
  /**
   * Sent with each request. A function is called before each request, and once more after a 401, then with
   * `unauthorized: true`: what it returned before is not valid any more. @default none
   */
  readonly headers?:
    | HeadersInit
    | ((asked: { readonly unauthorized: boolean }) => HeadersInit | Promise<HeadersInit>)
    | undefined
  /** Whether cookies are sent. @default 'same-origin' */
  readonly credentials?: RequestCredentials | undefined
  /** @default the global one */
  readonly fetch?: typeof globalThis.fetch | undefined
}

export interface SyncParts {
  readonly name: string
  readonly storage: SyncStorage & Pick<DeviceStorage, 'facts'>
  /** The same, for what this device adds itself. */
  readonly outbox: Pick<OutboxKeeper, 'fresh' | 'facts' | 'change' | 'indexOf'>
  /** Appends of this instance wait for it. */
  holdAppends(until: () => Promise<unknown>): void
  readonly remote: RemoteOptions
  readonly clock: Clock
  readonly decoding: Decoding
  /** Which context syncs. */
  readonly coordinator: Coordinator
  /** The channel on which the contexts of this store tell each other how they sync; none for a store in memory. */
  readonly channelName?: string | undefined
  /** Decides a commit again, by the app's command of that name. */
  decide(row: OutboxRow, from: SyncSnapshot): Promise<DecisionReply>
  /** Calls back when a commit was appended, in this context or in another. Returns how to stop that. A hint. */
  onAppend(listener: () => void): () => void
  /** Calls back when the outbox changed, in this context or in another. Returns how to stop that. */
  onChange(listener: () => void): () => void
  /** Whether this device is in contact with the server, so that what is appended is sent immediately. */
  inContact?(is: boolean): void
  /** What is stored, as far as it is known without reading it. */
  current?(): SyncSnapshot | undefined
  /** Why there is no database any more, if that was found out: `onChange` calls back. */
  lost?(): unknown
  /** Aborts when the store is closed. */
  readonly closed: AbortSignal
  /** Throws ClosedError once the store was closed. */
  assertOpen(): void
}

/** Enumerable, so that a copy of a store with some methods exchanged is still that store. */
export const syncParts = Symbol(say`tidemark sync`)

const partsIn = (store: unknown): SyncParts | undefined =>
  (store as { [syncParts]?: SyncParts } | null | undefined)?.[syncParts]

/** Whether it is a store of `openSyncedStore`, or a copy of one. */
export const isSynced = (store: unknown): boolean => partsIn(store) !== undefined

/** @throws InvalidArgumentError for anything that is not a store of `openSyncedStore`, or a copy of one */
export function syncPartsOf(store: unknown): SyncParts {
  const parts = partsIn(store)
  if (parts === undefined)
    throw new InvalidArgumentError(
      'store',
      isThenable(store) ? say`is a promise. Await openSyncedStore() first.` : say`must come from openSyncedStore.`,
    )
  return parts
}
