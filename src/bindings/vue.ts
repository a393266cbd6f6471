/** Live queries and statuses as refs, for Vue 3.4 and newer. */
import {
  computed,
  getCurrentInstance,
  hasInjectionContext,
  inject,
  onMounted,
  shallowRef,
  ssrContextKey,
  toValue,
  watch,
  type ComputedRef,
  type InjectionKey,
  type MaybeRefOrGetter,
} from 'vue'
import type { StatusStore } from '../running/status.js'
import type { SyncStatus } from '../sync/sync-status.js'
import { show, statusOf, type Live, type QuerySource, type Shown, type StatusSource, type SyncSource } from './shown.js'

/** A live query as refs. They are shallow: rows stay the objects that the query returned. */
export interface LiveRefs<V> {
  /** The answer, or undefined before the first one. */
  readonly data: ComputedRef<V | undefined>
  /** `'off'` while there is no query. */
  readonly status: ComputedRef<Live<V>['status']>
  /** Why the query failed, if it did. It runs again by itself. */
  readonly error: ComputedRef<unknown>
  /** Whether `data` may be out of date, or is the answer of the former query. */
  readonly stale: ComputedRef<boolean>
  /** Whether `data` holds what this device did and the server has not confirmed. Only of an app that syncs. */
  readonly pending: ComputedRef<boolean>
}

/**
 * Follows a live query, as long as the component or effect scope exists. Give it a ref or a getter where the query
 * depends on something: it may return another query later, or none (`null`, `undefined` or `false`).
 *
 * It can be awaited in an async `setup`, until the query has an answer or failed; that never rejects, see `error`. On a
 * server, and in the first render over its HTML, nothing is awaited or followed, and the status is `'loading'`.
 *
 * @example
 * const { data, status, stale } = useLiveQuery(() => shop.baskets.lines.live({ index: 'byItems', limit: props.limit }))
 */
export function useLiveQuery<V>(query: MaybeRefOrGetter<QuerySource<V>>): LiveRefs<V> & PromiseLike<LiveRefs<V>> {
  const current = computed((before?: Shown<V>) => {
    const source = toValue(query)
    return before && before.source === source ? before : show(source, before)
  })
  const { snapshot, quiet } = follow(current)
  const refs: LiveRefs<V> = {
    data: computed(() => snapshot.value.data),
    status: computed(() => snapshot.value.status),
    error: computed(() => snapshot.value.error),
    stale: computed(() => snapshot.value.stale),
    pending: computed(() => snapshot.value.pending === true),
  }
  const answered = async () => {
    const { source } = current.value
    // A failure is shown as `error`.
    if (source && !quiet()) await source.ready().catch(() => {})
    return refs
  }
  // `refs` without `then`: a promise of something with `then` would wait for that, for ever.
  // oxlint-disable-next-line unicorn/no-thenable -- that is what makes it awaitable
  return { ...refs, then: (resolve, reject) => answered().then(resolve, reject) }
}

/**
 * The value of a status, which changes with it.
 *
 * @param from what has a `status` (an app, a model, a running projection), or the status itself
 *
 * @example
 * const status = useStatus(shop) // status.value.phase
 */
export function useStatus<S>(from: MaybeRefOrGetter<StatusSource<S>>): ComputedRef<S> {
  const current = computed(() => {
    const given = toValue(from)
    return statusOf(given)
  })
  return follow(current).snapshot
}

/** `quiet`: on a server, and until the first render over a server's HTML is done. */
function follow<S>(current: ComputedRef<StatusStore<S>>): { snapshot: ComputedRef<S>; quiet: () => boolean } {
  const changes = shallowRef(0)
  const tell = () => {
    changes.value += 1
  }
  const onServer =
    typeof document === 'undefined' ||
    (hasInjectionContext() && inject(ssrContextKey as InjectionKey<unknown>, null) !== null)
  // A component that takes over a server's HTML has an element before it renders.
  let quiet = onServer || Boolean(getCurrentInstance()?.vnode.el)
  const snapshot = computed(() => {
    void changes.value
    return quiet ? current.value.getServerSnapshot() : current.value.getSnapshot()
  })
  if (!onServer) {
    const start = (from: StatusStore<S>, _before: unknown, onCleanup: (stop: () => void) => void) => {
      onCleanup(from.subscribe(tell))
      // It may have changed between the first read and the subscription.
      tell()
    }
    watch(current, start, { immediate: true })
    if (quiet) {
      onMounted(() => {
        quiet = false
        tell()
      })
    }
  }
  return { snapshot, quiet: () => quiet }
}

/**
 * How an app syncs: what it does, what the server has not confirmed, and what it refused.
 *
 * @example
 * const sync = useSyncStatus(shop) // sync.value.pending
 */
export const useSyncStatus = (app: SyncSource): ComputedRef<SyncStatus> => useStatus(app.sync)

export type { Live, QuerySource, StatusSource, SyncSource } from './shown.js'
