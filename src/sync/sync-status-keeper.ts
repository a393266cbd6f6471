/** The status of one synced store in this context, as a value that changes. */
import { listenerSet } from '../platform/listeners.js'
import { equal } from '../read-model/equal.js'
import type { StatusStore } from '../running/status.js'
import { countsOf, statusOf, type SyncStatus, type SyncStatusChange } from './sync-status.js'
import type { SyncParts } from './sync-parts.js'

/** Before anything is known. */
export const nothingKnown: SyncStatus = Object.freeze({
  status: 'following',
  cursor: 0,
  head: 0,
  pending: 0,
  behind: 0,
  refused: 0,
})

export class SyncStatusKeeper implements StatusStore<SyncStatus> {
  readonly #listeners = listenerSet()
  readonly #current: SyncParts['current']
  #status = nothingKnown

  /** @param current what is stored, as far as this context knows: where it knows, all counts are of that */
  constructor(current?: SyncParts['current']) {
    this.#current = current
  }

  readonly getSnapshot = (): SyncStatus => this.#status
  readonly getServerSnapshot = (): SyncStatus => nothingKnown
  readonly subscribe: StatusStore<SyncStatus>['subscribe'] = this.#listeners.add

  /** The part that an app gets. */
  get readable(): StatusStore<SyncStatus> {
    const { getSnapshot, getServerSnapshot, subscribe } = this
    return { getSnapshot, getServerSnapshot, subscribe }
  }

  /** Some entries become different. Returns whether that changed anything. */
  set(change: SyncStatusChange): boolean {
    // Why it was as it was before says nothing of a new phase.
    const over = change.status && { reason: undefined, message: undefined, nextTry: undefined }
    return this.become(statusOf({ ...this.#status, ...over, ...change }))
  }

  /** A status that says the same stays the same object. Returns whether it changed. */
  become(given: SyncStatus): boolean {
    // (N126) Who says how syncing is may have looked at the outbox long ago: a round that hung, or another context.
    const known = this.#current?.()
    const next = known === undefined ? given : { ...given, ...countsOf(known) }
    if (equal(next, this.#status)) return false
    this.#status = Object.freeze(next)
    this.#listeners.tell()
    return true
  }
}
