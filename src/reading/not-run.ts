/** Notices that no context runs a read model that is shown: for the development build. */
import type { EventShape } from '../events/event.js'
import type { TidemarkStore } from '../log/open.js'
import { say } from '../messages.js'
import type { Clock } from '../platform/clock.js'
import type { StateRow } from '../read-model/state.js'

/** How long the head is ahead before it is warned of, ms. */
const patience = 5_000
/** For how long it counts that there was nothing to apply, ms: longer than from one look to the next. */
const restKnown = 8_000

/** The read models that were warned of. */
const warned = new Set<string>()

/**
 * Makes the check of one read model: it is given each state that is read, and warns once if events wait that no context
 * applies.
 */
export function runnerCheck<E extends EventShape>(
  store: TidemarkStore<E>,
  key: string,
  clock: Clock,
): (state: StateRow) => void {
  let still: { readonly position: number; readonly since: number } | undefined
  let rest: typeof still
  const look = async ({ position, paused, fault }: StateRow) => {
    const now = clock.monotonic()
    if (rest?.position === position && now - rest.since < restKnown) return
    const isHeld = (await store.coordinator.isHeld?.(key)) ?? true
    if (isHeld || paused || fault !== undefined) return (still = undefined)
    rest = undefined
    if (position >= (await store.head())) {
      rest = { position, since: now }
      return (still = undefined)
    }
    if (still?.position !== position) still = { position, since: now }
    const name = `${store.name}:${key}`
    if (now - still.since < patience || warned.has(name)) return
    warned.add(name)
    if (__DEV__)
      console.warn(
        say`tidemark: events wait for the read model '${key}' of '${store.name}', and no context runs it, so its rows stay as they are. Call startProjection() in one of them, or use tidemark(), which does, or its catchUp().`,
      )
  }
  return (state) => {
    if (__DEV__) look(state).catch(() => {})
  }
}
