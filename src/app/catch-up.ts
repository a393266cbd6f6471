/** Running every model of an app up to the head, within one budget. */
import type { EventShape } from '../events/event.js'
import type { Settings } from '../projection/config.js'
import type { Projection } from '../read-model/define.js'
import { inTurns } from '../running/in-turns.js'
import { removeFormer } from '../running/remove-former.js'
import { runProjection } from '../running/run-projection.js'
import type { CatchUpResult } from './app-types.js'
import type { AppConfig, Opened } from './open-app.js'

export async function catchUp<E extends EventShape>(
  { store, models }: Opened<E>,
  { clock, projectors }: AppConfig<E>,
  settings: Settings,
  signal: AbortSignal | undefined,
): Promise<CatchUpResult> {
  const definitions = [...models.map(({ definition }) => definition), ...projectors] as unknown as Projection<E>[]
  const outcomes = await inTurns(
    definitions.map((each) => (how) => runProjection(store, each, { ...how, clock })),
    { ...settings, clock },
    signal,
    true,
  )
  for (const each of outcomes) if ('error' in each) throw each.error
  const complete = outcomes.every((each) => 'reason' in each && each.reason === 'caught-up')
  // Where no context runs models for long, nothing else removes former versions. One in use is left for the next call.
  if (complete) await Promise.all(definitions.map((each) => removeFormer(store, each)))
  return {
    complete,
    models: Object.fromEntries(models.map(({ name }, at) => [name, outcomes[at]])),
  } as CatchUpResult
}
