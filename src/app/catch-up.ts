/** Running every model of an app up to the head, within one budget. */
import { hasCode } from '../errors.js'
import type { EventShape } from '../events/event.js'
import type { ProjectionOptions } from '../projection/config.js'
import type { Projection } from '../read-model/define.js'
import { runProjection } from '../running/run-projection.js'
import type { CatchUpOptions } from './app-types.js'
import type { AppConfig, Opened } from './open-app.js'

export async function catchUp<E extends EventShape>(
  { store, runs, models, projectors }: Opened<E>,
  { clock, projectors: plain }: AppConfig<E>,
  { budget = {}, signal }: CatchUpOptions,
): Promise<void> {
  const { maxTime = Infinity, maxEvents = Infinity } = budget
  const began = clock.monotonic()
  let events = maxEvents
  const errors: unknown[] = []
  const batch = async (projector: Projection<E> | (typeof plain)[number]) => {
    const left = { maxTime: maxTime - (clock.monotonic() - began), maxEvents: events }
    const options: ProjectionOptions = { budget: left, clock, ...(signal && { signal }) }
    const { applied } = await runProjection(store, projector as Projection<E>, options)
    events -= applied
  }
  const head = runs ? await store.head() : 0
  const work = runs
    ? [
        ...[...models.values()].map((model) => model.handle),
        ...projectors.map(
          ({ handle }) =>
            () =>
              handle,
        ),
      ].map((handle) => async () => void (await handle().caughtUp(head, { signal })))
    : [...[...models.values()].map(({ definition }) => definition as unknown as Projection<E>), ...plain].map(
        (each) => () => batch(each),
      )
  for (const each of work) {
    if (signal?.aborted === true || events <= 0 || clock.monotonic() - began > maxTime) break
    await each().catch((error: unknown) => {
      if (!hasCode(error, 'already-running')) errors.push(error)
    })
  }
  if (errors.length > 0) throw errors[0]
}
