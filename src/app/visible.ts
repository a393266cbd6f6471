/** Waiting until a write is in the rows and on the screen. */
import type { EventShape } from '../events/event.js'
import { sleep, type Clock } from '../platform/clock.js'
import { laidOver } from '../reading/laid-over.js'
import type { Opened, OpenModel } from './open-app.js'

/** How long live queries may take to show what is in the rows, ms. */
const publishTime = 1_000

/**
 * Whether every model that handles one of these types has the position in its rows. The subscribed live queries of this
 * context have shown it then, or had a second for that. Never rejects.
 */
export async function becomesVisible<E extends EventShape>(
  { models, store }: Opened<E>,
  types: readonly string[],
  position: number,
  timeout: number,
  clock: Clock,
): Promise<boolean> {
  const handling = models.filter(
    ({ definition }) => definition.filter.types?.some((type) => types.includes(type)) ?? types.length > 0,
  )
  // Own events are laid over the rows immediately: then only live queries are waited for.
  const isOver = laidOver(store) !== undefined
  const isVisible = async ({ handle, view }: OpenModel): Promise<void> => {
    if (!isOver) await handle.caughtUp(position, { timeout })
    const shown = new AbortController()
    // If it cannot be read what is stored, the queries that look again by themselves have the rest of that time.
    Promise.resolve(view.value()?.published(isOver ? Infinity : position)).then(
      () => shown.abort(),
      () => {},
    )
    await sleep(clock, publishTime, shown.signal)
  }
  return Promise.all(handling.map(isVisible)).then(
    () => true,
    () => false,
  )
}
