/** Waiting until a write is in the rows and on the screen. */
import type { EventShape } from '../events/event.js'
import type { Opened, OpenModel } from './open-app.js'

/**
 * Whether every model that handles one of these types has the position in its rows, and the subscribed live queries of
 * this context have shown it or had a second for that. Never rejects.
 */
export async function becomesVisible<E extends EventShape>(
  { models }: Opened<E>,
  types: ReadonlySet<string>,
  position: number,
  timeout: number,
): Promise<boolean> {
  const handling = [...models.values()].filter(
    ({ definition }) => definition.filter.types?.some((type) => types.has(type)) ?? types.size > 0,
  )
  const each = handling.map((model) => isVisible(model, position, timeout).catch(() => false))
  return (await Promise.all(each)).every(Boolean)
}

async function isVisible(model: OpenModel, position: number, timeout: number): Promise<boolean> {
  await model.handle().caughtUp(position, { timeout })
  return true
}
