/** Drawing a live query. */
import type { LiveQuery, LiveSnapshot } from 'tidemark'
import { perFrame } from './dom.js'

/** Renders a live query now and whenever its answer changes, at most once per frame; returns how to stop. */
export function watch<T>(live: LiveQuery<T>, render: (snapshot: LiveSnapshot<T>) => void): () => void {
  let stopped = false
  const changed = perFrame(() => {
    if (!stopped) render(live.getSnapshot())
  })
  const unsubscribe = live.subscribe(changed)
  changed()
  return () => {
    stopped = true
    unsubscribe()
  }
}
