/** Running every model of an app up to the head, within one budget. */
import { hasCode } from '../errors.js'
import type { EventShape } from '../events/event.js'
import type { Settings } from '../projection/config.js'
import type { Projection } from '../read-model/define.js'
import { runProjection } from '../running/run-projection.js'
import type { AppConfig, Opened } from './open-app.js'

export async function catchUp<E extends EventShape>(
  { store, models }: Opened<E>,
  { clock, projectors }: AppConfig<E>,
  { budgetTime, budgetEvents }: Pick<Settings, 'budgetTime' | 'budgetEvents'>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const end = clock.monotonic() + budgetTime
  let events = budgetEvents
  const failures: unknown[] = []
  const all = [...models, ...projectors.map((definition) => ({ definition, view: undefined }))]
  for (const { definition, view } of all) {
    const left = end - clock.monotonic()
    if (signal?.aborted === true || events <= 0 || left < 0) break
    const options = { budget: { maxTime: left, maxEvents: events }, clock, signal }
    try {
      // Rejects if another app of this context defines the model differently.
      await view?.use()
      await runProjection(store, definition as unknown as Projection<E>, options).then(
        ({ applied }) => (events -= applied),
        (error: unknown) => {
          // Another context, or this one, does the work.
          if (!hasCode(error, 'already-running')) throw error
        },
      )
    } catch (error) {
      failures.push(error)
    }
  }
  if (failures.length > 0) throw failures[0]
}
