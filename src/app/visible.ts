/** Waiting until a write is in the rows and on the screen. */
import type { EventShape } from '../events/event.js'
import { sleep, type Clock } from '../platform/clock.js'
import type { Opened, OpenModel } from './open-app.js'

/** How long live queries may take to show what is in the rows, ms. */
const publishTime = 1_000

/**
 * Whether every model that handles one of these types has the position in its rows. The subscribed live queries of this
 * context have shown it then, or had a second for that. Never rejects.
 */
export async function becomesVisible<E extends EventShape>(
  { models }: Opened<E>,
  types: ReadonlySet<string>,
  position: number,
  timeout: number,
  clock: Clock,
): Promise<boolean> {
  const handling = [...models.values()].filter(
    ({ definition }) => definition.filter.types?.some((type) => types.has(type)) ?? types.size > 0,
  )
  const each = handling.map((model) => isVisible(model, position, timeout, clock).catch(() => false))
  return (await Promise.all(each)).every(Boolean)
}

async function isVisible(model: OpenModel, position: number, timeout: number, clock: Clock): Promise<boolean> {
  await model.handle.caughtUp(position, { timeout })
  const shown = model.view
    .value()
    ?.published(position)
    .catch(() => {})
  if (shown === undefined) return true
  const late = new AbortController()
  await Promise.race([shown, sleep(clock, publishTime, late.signal)])
  late.abort()
  return true
}
