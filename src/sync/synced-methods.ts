/** What a synced store does in addition to a local one, and otherwise. */
import { InvalidArgumentError } from '../errors.js'
import type { EventShape } from '../events/event.js'
import type { AppendOptions, AppendResult, FollowOptions } from '../log/event-store.js'
import { storeInternals, type TidemarkStore } from '../log/open.js'
import { say } from '../messages.js'
import { isObject } from '../platform/objects.js'
import { followLog } from './follow-log.js'
import { confirmedOnly } from './outbox-streams.js'
import { syncParts, type SyncParts } from './sync-parts.js'
import type { OpenedParts } from './synced-parts.js'
import type { SyncedStore, SyncedStreamOptions } from './synced-store.js'

export function syncedStore<E extends EventShape>(
  store: TidemarkStore<E>,
  { own, sync, opened }: OpenedParts,
): SyncedStore<E> {
  opened.store = store as unknown as TidemarkStore
  const { readStream, follow, readPage } = store
  const append = store.append as (...given: readonly unknown[]) => Promise<AppendResult>
  const { assertOpen, tap } = storeInternals(store)
  const { clock, closed, outbox, onChange } = sync
  const more = {
    [syncParts]: { ...sync, assertOpen } satisfies SyncParts,
    append(...given: readonly unknown[]) {
      const at = typeof given[0] === 'string' ? 2 : 1
      return given.length > at
        ? append(...given.slice(0, at), ownCondition(given[at] as AppendOptions | undefined))
        : append(...given)
    },
    readStream(stream: string, options: SyncedStreamOptions = {}) {
      if (!isObject(options)) return readStream(stream, options)
      const { confirmed = false, ...rest } = options
      if (typeof confirmed !== 'boolean') throw new InvalidArgumentError('confirmed', say`must be true or false.`)
      if (confirmed) confirmedOnly.add(rest)
      return readStream(stream, rest)
    },
    follow(options: FollowOptions<E> = {}) {
      // Checks them, and begins nothing.
      follow(options)
      return followLog<E>(options, { outbox, onChange, readPage, tap, clock, closing: closed })
    },
    async outbox() {
      assertOpen()
      return own.outbox()
    },
    async ownCommit(id: string) {
      assertOpen()
      return own.find(id)
    },
  }
  return Object.assign(store, more) as unknown as SyncedStore<E>
}

/** The options with a condition that the caller cannot change: it is stored as it was given. */
function ownCondition(options: AppendOptions | undefined): AppendOptions | undefined {
  const filter = options?.condition?.failIfEventsMatch
  if (options === undefined || !isObject(filter) || Array.isArray(filter)) return options
  const { types } = filter
  const failIfEventsMatch = { ...filter, ...(Array.isArray(types) && { types: [...types] as string[] }) }
  return { ...options, condition: { ...options.condition, failIfEventsMatch } }
}
