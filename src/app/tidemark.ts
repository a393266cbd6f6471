/** `tidemark()`: an app as one object. */
import { InvalidArgumentError } from '../errors.js'
import type { EventShape } from '../events/event.js'
import { openEventStore } from '../log/open.js'
import { say } from '../messages.js'
import type { AppOptions, Models, TidemarkApp } from './app-types.js'
import { makeApp } from './make-app.js'

/**
 * Makes an app: one object for the event store, its read models and what runs them. Nothing happens before its first
 * use, a call or a subscription to a live query or a status: so it may be made where a module is loaded, also on a
 * server. The first use opens the store and starts the projections in this context, until `close()` or the end of the
 * page.
 *
 * If opening fails, the call that asked rejects, and the next call tries again; so does a subscription, after 1, 2, …
 * 30 s. Where there is no IndexedDB, as on a server, nothing starts: live queries stay `'loading'`, and promises reject
 * with a StorageUnavailableError.
 *
 * @throws InvalidArgumentError, InvalidNameError for an option that is not allowed
 *
 * @example
 * export const shop = tidemark({ name: 'shop', events, models: { baskets } })
 * await shop.append('basket-1', events.ItemAdded({ sku: 'A1', quantity: 2 }), { until: 'visible' })
 * const lines = await shop.baskets.lines.getAll()
 */
export function tidemark<E extends EventShape, const M extends Models = {}>(
  options: AppOptions<E, M>,
): TidemarkApp<E, M> {
  // The production build says which options there are.
  if (__DEV__ && (options as { readonly sync?: unknown } | undefined)?.sync !== undefined)
    throw new InvalidArgumentError('sync', say`is an option of the tidemark() of 'tidemark/sync'. Import that one.`)
  return makeApp(options as unknown as AppOptions<E>, {
    opener:
      (open = openEventStore) =>
      () =>
        open,
  }) as TidemarkApp<E, M>
}
