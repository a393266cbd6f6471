/** The hints of a store in PostgreSQL: within this process over a BroadcastChannel, to others by notifications. */
import { listenerSet } from '../platform/listeners.js'
import { openSignals, parseHint, type Hint, type Signals } from '../platform/signals.js'
import type { Hub } from './hub.js'

/** Heads come by the log store, and leadership is not handed over by hints here. */
const isForOthers = (hint: Hint): hint is Extract<Hint, { readonly kind: 'committed' | 'control' }> =>
  hint.kind === 'committed' || hint.kind === 'control'

/** @param name that of the log. @param id the id of the log, which no other one has */
export function postgresSignals(hub: Hub, name: string, id: string): Signals {
  const here = openSignals(`tidemark-postgres:${id}`)
  const others = listenerSet<[hint: Hint]>()
  const stop = hub.onHint(name, (message) => {
    const hint = parseHint(message)
    // What changed is not sent, so a message that says so comes from elsewhere.
    if (hint?.kind === 'committed') others.tell({ ...hint, changes: 'unknown' })
    else if (hint?.kind === 'control') others.tell(hint)
  })
  return {
    post(hint, join) {
      here.post(hint, join)
      if (isForOthers(hint)) hub.postHint(name, hint)
    },
    listen(listener) {
      const stops = [here.listen(listener), others.add(listener)]
      return () => {
        for (const each of stops) each()
      }
    },
    close() {
      stop()
      others.clear()
      here.close()
    },
  }
}
