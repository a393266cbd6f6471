/** A projector that keeps what it was given. */
import type { EventShape, RecordedEvent } from '../events/event.js'
import type { EventFilter } from '../log/event-store.js'
import type { Projector } from '../projection/projector.js'

/** See {@link collector}. */
export interface Collector<E extends EventShape = EventShape> extends Projector<E> {
  /** What was applied so far, in order. Grows while the projector runs, so it may be taken out and kept. */
  readonly events: readonly RecordedEvent<E>[]
}

/**
 * A plain projector that collects the events it is given.
 *
 * @example
 * const all = collector('all')
 * await runProjection(store, all)
 * all.events.length
 *
 * @param name its checkpoint key and lock name
 * @param filter which events. @default all
 */
export function collector<E extends EventShape = EventShape>(name: string, filter?: EventFilter<E>): Collector<E> {
  const events: RecordedEvent<E>[] = []
  return {
    name,
    ...(filter === undefined ? {} : { filter }),
    events,
    apply(event) {
      events.push(event)
    },
  }
}
