/** Running every model of an app up to the head, within one budget. */
import { hasCode } from '../errors.js'
import type { EventShape } from '../events/event.js'
import type { Settings } from '../projection/config.js'
import type { Projection } from '../read-model/define.js'
import { runProjection } from '../running/run-projection.js'
import type { AppConfig, Opened } from './open-app.js'

export async function catchUp<E extends EventShape>(
  { store }: Opened<E>,
  { clock, models, projectors }: AppConfig<E>,
  { budgetTime, budgetEvents }: Pick<Settings, 'budgetTime' | 'budgetEvents'>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const end = clock.monotonic() + budgetTime
  let events = budgetEvents
  let failure: { readonly error: unknown } | undefined
  for (const projector of [...Object.values(models), ...projectors]) {
    const left = end - clock.monotonic()
    if (signal?.aborted === true || events <= 0 || left < 0) break
    const options = { budget: { maxTime: left, maxEvents: events }, clock, signal }
    try {
      events -= (await runProjection(store, projector as unknown as Projection<E>, options)).applied
    } catch (error) {
      // Another context, or this one, does the work.
      if (!hasCode(error, 'already-running')) failure ??= { error }
    }
  }
  if (failure !== undefined) throw failure.error
}
