/** What a live query offers, as far as the views here use it. */
export type LiveSnapshot<T> =
  | { readonly state: 'loading' }
  | { readonly state: 'ready'; readonly value: T; readonly position: number }
  | { readonly state: 'error'; readonly error: unknown }

export interface Live<T> {
  subscribe(listener: () => void): () => void
  getSnapshot(): LiveSnapshot<T>
}

/** Renders a live query now and whenever its answer changes; returns how to stop. */
export function watch<T>(live: Live<T>, render: (snapshot: LiveSnapshot<T>) => void, schedule: (run: () => void) => () => void): () => void {
  let stopped = false
  const changed = schedule(() => {
    if (!stopped) render(live.getSnapshot())
  })
  const unsubscribe = live.subscribe(changed)
  changed()
  return () => {
    stopped = true
    unsubscribe()
  }
}
