/** A live query that a test drives: it decides when there is an answer, and sees who listens. */
import type { LiveQuery, LiveSnapshot } from 'tidemark'

export interface FakeQuery<V> extends LiveQuery<V> {
  /** How many listen now. */
  readonly subscribers: number
  /** How often the first of them came. */
  readonly starts: number
  /** `pending`: it holds what a server has not confirmed. */
  answer(data: V, pending?: true): void
  fail(error: unknown): void
  /** Back to `'loading'`, as all queries of an app that is opened again. */
  forget(): void
  /** Calls back although nothing changed. */
  tell(): void
}

const loading: LiveSnapshot<never> = Object.freeze({
  status: 'loading',
  data: undefined,
  error: undefined,
  stale: false,
})

export function fakeQuery<V>(): FakeQuery<V> {
  let snapshot: LiveSnapshot<V> = loading
  let position = 0
  let starts = 0
  let waiting: PromiseWithResolvers<V> | undefined
  const listeners = new Set<{ readonly listener: () => void }>()
  const tell = () => {
    for (const each of [...listeners]) if (listeners.has(each)) each.listener()
  }
  const set = (next: LiveSnapshot<V>) => {
    snapshot = next
    tell()
  }
  /** What `ready` returned, settled; the next change makes another one. */
  const settle = (by: (waiting: PromiseWithResolvers<V>) => void) => {
    if (waiting !== undefined) by(waiting)
    waiting = undefined
  }
  return {
    get subscribers() {
      return listeners.size
    },
    get starts() {
      return starts
    },
    subscribe(listener) {
      const entry = { listener }
      if (listeners.size === 0) starts += 1
      listeners.add(entry)
      return () => {
        if (listeners.delete(entry) && listeners.size === 0 && snapshot.status === 'ready' && !snapshot.stale)
          snapshot = { ...snapshot, stale: true }
      }
    },
    getSnapshot: () => snapshot,
    getServerSnapshot: () => loading,
    ready: () => (snapshot.status === 'ready' ? Promise.resolve(snapshot.data) : (waiting ??= newPromise<V>()).promise),
    answer(data, pending) {
      position += 1
      set({ status: 'ready', data, error: undefined, stale: false, position, ...(pending && { pending }) })
      settle((waiting) => waiting.resolve(data))
    },
    fail(error) {
      set({ status: 'error', data: snapshot.data, error, stale: snapshot.data !== undefined })
      settle((waiting) => waiting.reject(error))
    },
    forget() {
      waiting = undefined
      // Another one, so that who shows it is told.
      set({ ...loading })
    },
    tell,
  }
}

interface PromiseWithResolvers<V> {
  readonly promise: Promise<V>
  resolve(value: V): void
  reject(error: unknown): void
}

/** As `Promise.withResolvers`, which not every engine has. */
function newPromise<V>(): PromiseWithResolvers<V> {
  let resolve: (value: V) => void = () => {}
  let reject: (error: unknown) => void = () => {}
  const promise = new Promise<V>((fulfil, refuse) => {
    resolve = fulfil
    reject = refuse
  })
  return { promise, resolve, reject }
}
