/** Running every model of an app up to the head, within one budget. */
import { hasCode } from '../errors.js'
import type { EventShape } from '../events/event.js'
import type { Projection } from '../read-model/define.js'
import { runProjection } from '../running/run-projection.js'
import type { CatchUpOptions } from './app-types.js'
import type { AppConfig, Opened } from './open-app.js'

export async function catchUp<E extends EventShape>(
  { store, models }: Opened<E>,
  { clock, projectors }: AppConfig<E>,
  { budget: { maxTime = Infinity, maxEvents = Infinity } = {}, signal }: CatchUpOptions,
): Promise<void> {
  const end = clock.monotonic() + maxTime
  let events = maxEvents
  let failure: { readonly error: unknown } | undefined
  const all = [...models.values(), ...projectors.map((definition) => ({ definition, claim: undefined }))]
  for (const { definition, claim } of all) {
    const left = end - clock.monotonic()
    if (signal?.aborted === true || events <= 0 || left < 0) break
    const options = { budget: { maxTime: left, maxEvents: events }, clock, signal }
    // Every call of the model says so if another app of this context defines it differently.
    const refusal = claim?.()
    try {
      if (refusal !== undefined) throw refusal
      events -= (await runProjection(store, definition as unknown as Projection<E>, options)).applied
    } catch (error) {
      // Another context, or this one, does the work.
      if (error === refusal || !hasCode(error, 'already-running')) failure ??= { error }
    }
  }
  if (failure !== undefined) throw failure.error
}
