/** Values that keep themselves up to date while somebody looks at them. */
import { tell } from '../platform/tasks.js'
import { equal } from './equal.js'

/** What a live query shows. */
export type LiveSnapshot<V> =
  | { readonly state: 'loading' }
  | { readonly state: 'ready'; readonly value: V; /** Where this answer was first read: it may hold for later positions, too. */ readonly position: number }
  | { readonly state: 'error'; readonly error: unknown }

/** Fits `useSyncExternalStore(live.subscribe, live.getSnapshot)`. Works while somebody is subscribed, and rests otherwise. */
export interface LiveQuery<V> {
  /** Calls back when the snapshot is another one. Returns how to stop that. */
  subscribe(listener: () => void): () => void
  /** The same object as long as the answer is the same. */
  getSnapshot(): LiveSnapshot<V>
}

/** Where a live value comes from. */
export interface LiveSource<V> {
  evaluate(): Promise<{ readonly value: V; readonly position: number }>
  /** Calls back whenever the answer may be another one. Returns how to stop that. */
  watch(changed: () => void): () => void
}

/** Makes a live query of a source: one evaluation at a time, and one more if something changed in between. */
export function liveQuery<V>(source: LiveSource<V>): LiveQuery<V> {
  let snapshot: LiveSnapshot<V> = { state: 'loading' }
  const listeners = new Set<() => void>()
  let running = false
  let again = false
  let stop: (() => void) | undefined
  const set = (next: LiveSnapshot<V>) => {
    snapshot = next
    for (const listener of [...listeners]) tell(listener)
  }
  const run = async () => {
    again = true
    if (running) return
    running = true
    while (again && stop !== undefined) {
      again = false
      try {
        const { value, position } = await source.evaluate()
        if (stop !== undefined && (snapshot.state !== 'ready' || !equal(snapshot.value, value))) set({ state: 'ready', value, position })
      } catch (error) {
        if (stop !== undefined) set({ state: 'error', error })
      }
    }
    running = false
  }
  return {
    subscribe(listener) {
      const own = () => listener()
      if (stop === undefined) {
        stop = source.watch(() => void run())
        void run()
      }
      listeners.add(own)
      return () => {
        listeners.delete(own)
        if (listeners.size > 0) return
        stop?.()
        stop = undefined
      }
    },
    getSnapshot: () => snapshot,
  }
}
