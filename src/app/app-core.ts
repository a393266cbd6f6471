/** An app between its first use and its end: which store it has open, and what follows that. */
import { ClosedError, hasCode } from '../errors.js'
import type { EventShape } from '../events/event.js'
import type { TidemarkStore } from '../log/open.js'
import { say } from '../messages.js'
import { assertAvailable, isMissing } from '../platform/indexeddb.js'
import { listenerSet } from '../platform/listeners.js'
import { isObject } from '../platform/objects.js'
import type { AppPorts } from './app-kind.js'
import { attempts, type AttemptHooks, type Attempts } from './attempts.js'
import { openApp, type AppConfig, type HotRun, type Opened } from './open-app.js'
import { joinApps, replaceable } from './take-over.js'
import type { Subscribe } from './while-open.js'

export interface AppCore<E extends EventShape> extends AppPorts<Opened<E>> {
  readonly config: AppConfig<E>
  /** As `follow`, for what does not count as a subscription: it does not open the app. */
  readonly watch: Subscribe
  ready(): Promise<TidemarkStore<E>>
  reopen(): Promise<TidemarkStore<E>>
  close(): Promise<void>
}

/** @param tellError gets each error that no promise carries */
export function appCore<E extends EventShape>(config: AppConfig<E>, tellError: (error: unknown) => void): AppCore<E> {
  /** Subscriptions: called whenever another store is open, none is any more, or the reason for that changes. */
  const changes = listenerSet()
  /** The same, for what does not count as a subscription. */
  const watching = listenerSet()
  let ends: Promise<unknown> = Promise.resolve()
  let closed: unknown

  const isServer = () => config.needsIndexedDb && isMissing()
  const changed = () => {
    watching.tell()
    changes.tell()
  }
  const failed = eachOnce(tellError)
  const hooks: AttemptHooks = { clock: config.clock, isWanted: () => changes.size > 0, changed, failed }
  const end = (reason?: unknown) => (ends = Promise.all([ends, current.end(reason)]))

  const opening = async (): Promise<Opened<E>> => {
    if (isServer()) assertAvailable(say`opening an app`)
    // Before the first wait: calls that are made now are meant for the store of this name.
    const name = nameNow(config)
    const open = config.opener()
    await ends
    const start = (hot?: HotRun) => {
      if (closed !== undefined) throw closed
      return openApp(name, open, config, hooks, hot)
    }
    return __DEV__ && entry ? joinApps(name, entry, start) : start()
  }
  let current: Attempts<Opened<E>> = attempts(hooks, opening)

  /** If the app is reopened meanwhile, this waits for the new store: the former one is closed. */
  const ready = async (): Promise<TidemarkStore<E>> => {
    for (;;) {
      const of = current
      try {
        const { store } = await of.use()
        if (closed !== undefined) throw closed
        if (of === current) return store
      } catch (error) {
        if (of === current) throw error
      }
    }
  }
  const close = async (reason: unknown = new ClosedError(say`The app`)): Promise<void> => {
    if (closed === undefined) {
      closed = reason
      void end(reason)
      changed()
    }
    await ends
  }
  const entry = __DEV__
    ? replaceable(config, {
        name: () => nameNow(config),
        isFollowed: () => changes.size > 0,
        changed,
        close,
      })
    : undefined
  return {
    config,
    get opened() {
      return current.value()
    },
    formerRows: entry?.formerRows,
    get failure() {
      return isServer() ? closed : current.error()
    },
    get phase() {
      if (closed !== undefined) return 'closed'
      if (this.failure !== undefined) return 'failed'
      return current.isUnderWay() ? 'opening' : 'idle'
    },
    use: () => current.use(),
    follow(listener) {
      const remove = changes.add(listener)
      current.want()
      for (const { view } of current.value()?.models ?? []) view.want()
      return remove
    },
    watch: watching.add,
    failed,
    ready,
    reopen() {
      if (closed !== undefined) return Promise.reject(closed)
      void end()
      current = attempts(hooks, opening)
      if (__DEV__) entry?.formerRows?.forget()
      const reopened = ready()
      changed()
      return reopened
    },
    close() {
      const ended = close()
      if (__DEV__) entry?.formerRows?.forget()
      return ended
    },
  }
}

/** @throws what the app's function throws */
const nameNow = ({ name }: { readonly name: string | (() => string) }): string =>
  typeof name === 'function' ? name() : name

/** Calls back with each error once, unless it only says that something was closed. */
function eachOnce(tellError: (error: unknown) => void): (error: unknown) => void {
  const told = new WeakSet<object>()
  return (error) => {
    if (hasCode(error, 'closed')) return
    if (isObject(error)) {
      if (told.has(error)) return
      told.add(error)
    }
    tellError(error)
  }
}
