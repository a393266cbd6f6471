/** `tidemark()` for an app that syncs. */
import type { AppOptions, Models } from '../app/app-types.js'
import { makeApp } from '../app/make-app.js'
import { InvalidArgumentError } from '../errors.js'
import type { EventShape } from '../events/event.js'
import { storeName } from '../events/names.js'
import { say } from '../messages.js'
import { onlyKnown } from '../platform/arguments.js'
import { isObject } from '../platform/objects.js'
import { assertCommands } from './define-commands.js'
import { assertRemote } from './log-address.js'
import { isWakeKind } from './start-sync.js'
import { syncedKind } from './synced-app.js'
import type { AppSyncOptions, SyncedApp, SyncedAppOptions } from './synced-app-types.js'

/**
 * Makes an app that syncs: as the `tidemark()` of `tidemark`, over a synced store, which one tab at a time sends and
 * fetches. Nothing waits for the server: what this device does is stored, and shown, immediately, also offline.
 *
 * Put the user into `name` and `sync.author`, and call `reopen()` at login and logout: nothing of one user is ever sent as
 * another.
 *
 * @throws InvalidArgumentError, InvalidNameError for an option that is not allowed
 *
 * @example
 * import { tidemark } from 'tidemark/sync'
 *
 * export const shop = tidemark({
 *   name: () => `shop/${session.user}`,
 *   events,
 *   models: { baskets },
 *   sync: {
 *     url: () => `/logs/${session.user}`,
 *     author: () => session.user,
 *     headers: () => ({ authorization: `Bearer ${session.token}` }),
 *   },
 * })
 * await shop.append('basket-1', events.ItemAdded({ sku: 'A1', quantity: 2 }), { until: 'visible' })
 */
export function tidemark<E extends EventShape, const M extends Models = {}>(
  options: SyncedAppOptions<E, M>,
): SyncedApp<E, M> {
  const sync = checked((options as Partial<SyncedAppOptions<E, M>> | undefined)?.sync)
  const kind = syncedKind(sync as AppSyncOptions, options.clock)
  return makeApp(options as unknown as AppOptions<EventShape>, kind) as unknown as SyncedApp<E, M>
}

function checked<E extends EventShape>(sync: AppSyncOptions<E> | undefined): AppSyncOptions<E> {
  if (!isObject(sync))
    throw new InvalidArgumentError('sync', say`must be { url, … }. Without a server, import tidemark from 'tidemark'.`)
  onlyKnown(sync, ['url', 'author', 'headers', 'credentials', 'fetch', 'commands', 'wake', 'adopt'], 'sync')
  const { url, author, commands, wake, adopt } = sync
  const check = (right: boolean, what: string, problem: string) => {
    if (!right) throw new InvalidArgumentError(`sync.${what}`, problem)
  }
  // What a function returns is checked at each opening.
  const given = { ...sync, ...(typeof url === 'function' && { url: '/' }) }
  assertRemote({ ...given, ...(typeof author === 'function' && { author: undefined }) }, 'sync.', false)
  check(
    adopt === undefined || typeof adopt === 'function' || typeof adopt === 'string',
    'adopt',
    say`must be the name of a local store, or a function that returns it.`,
  )
  if (typeof adopt === 'string') storeName(adopt)
  check(wake === undefined || isWakeKind(wake), 'wake', say`must be 'events', 'websocket' or 'poll'.`)
  if (commands !== undefined) assertCommands(commands)
  return { ...sync }
}
