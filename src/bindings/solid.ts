/** Live queries and statuses as accessors, for Solid 1.9. */
import {
  createMemo,
  createRenderEffect,
  createSignal,
  onCleanup,
  onMount,
  sharedConfig,
  untrack,
  type Accessor,
} from 'solid-js'
import { createStore, reconcile } from 'solid-js/store'
import { isServer } from 'solid-js/web'
import type { StatusStore } from '../running/status.js'
import type { SyncStatus } from '../sync/sync-status.js'
import { show, statusOf, type Live, type QuerySource, type Shown, type StatusSource, type SyncSource } from './shown.js'

/** How the rows of an answer are told apart. */
export interface LiveQueryOptions {
  /**
   * The property by which a row is known again, so that `<For>` keeps its nodes when it changes. `null`: by its place.
   * Default `'id'`.
   */
  readonly key?: string | null
}

/**
 * Follows a live query, as long as its owner exists. `source` may return another query later, or none (`null`,
 * `undefined` or `false`). `data` is a store, so that a row that changed updates only what reads the changed properties;
 * its rows are copies, without the cycles that a stored object may have.
 *
 * On a server, and in the first render over its HTML, nothing is followed, and the status is `'loading'`.
 *
 * @example
 * const lines = createLiveQuery(() => shop.baskets.lines.live({ index: 'byItems' }), { key: 'sku' })
 * // <For each={lines().data}>{(line) => <li>{line.sku}: {line.quantity}</li>}</For>
 */
export function createLiveQuery<V>(
  source: Accessor<QuerySource<V>>,
  { key = 'id' }: LiveQueryOptions = {},
): Accessor<Live<V>> {
  const [store, setStore] = createStore<{ data?: unknown }>({})
  const current = createMemo((before?: Shown<V>) => {
    const query = source()
    return before && before.source === query ? before : show(query, before)
  })
  const snapshot = follow(current)
  return createMemo(() => {
    const next = snapshot()
    setStore('data', reconcile(copied(next.data), { key }))
    return { ...next, data: untrack(() => store.data) } as Live<V>
  })
}

/**
 * The value of a status, which changes with it.
 *
 * @param from what has a `status` (an app, a model, a running projection), the status itself, or an accessor of one of
 * them
 *
 * @example
 * const status = createStatus(shop) // status().phase
 */
export function createStatus<S>(from: StatusSource<S> | Accessor<StatusSource<S>>): Accessor<S> {
  const current = createMemo(() => {
    const given = typeof from === 'function' ? from() : from
    return statusOf(given)
  })
  return follow(current)
}

function follow<S>(current: Accessor<StatusStore<S>>): Accessor<S> {
  // On a server, and until the first render over a server's HTML is done.
  let quiet = isServer || Boolean(sharedConfig.context)
  const [changed, tell] = createSignal(undefined, { equals: false })
  const snapshot = createMemo(() => {
    changed()
    return quiet ? current().getServerSnapshot() : current().getSnapshot()
  })
  if (!isServer) {
    createRenderEffect(() => {
      onCleanup(current().subscribe(() => tell()))
      // It may have changed between the first read and the subscription.
      tell()
    })
    if (quiet) {
      onMount(() => {
        quiet = false
        tell()
      })
    }
  }
  return snapshot
}

/** A store writes to what it holds, and others read the same rows. An object that holds itself is left out there. */
function copied(value: unknown, within: readonly unknown[] = []): unknown {
  if (within.includes(value)) return undefined
  const inside = [...within, value]
  const each = (part: unknown) => copied(part, inside)
  if (Array.isArray(value)) return value.map(each)
  return isPlain(value) ? Object.fromEntries(Object.entries(value).map(([name, part]) => [name, each(part)])) : value
}

/** What a store makes reactive, and writes to; dates, maps, sets and bytes stay what they are. */
function isPlain(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || prototype === Object.prototype
}

/**
 * How an app syncs: what it does, what the server has not confirmed, and what it refused.
 *
 * @example
 * const sync = createSyncStatus(shop) // sync().pending
 */
export const createSyncStatus = (app: SyncSource): Accessor<SyncStatus> => createStatus(app.sync)

export type { Live, QuerySource, StatusSource, SyncSource } from './shown.js'
