/** One small fold over the log, in this context's memory: for models that need no storage. */
import { InvalidArgumentError } from '../errors.js'
import type { EventOfType } from '../events/catalogue.js'
import type { EventShape, RecordedEvent } from '../events/event.js'
import type { FitsStore } from '../events/fits.js'
import type { Literal, Literals } from '../events/literals.js'
import type { EventFilter, EventStore } from '../log/event-store.js'
import { compileFilter } from '../log/filter.js'
import type { PageReadOptions } from '../log/pages.js'
import { RecordsAhead } from '../log/records-ahead.js'
import { pageLifecycle } from '../platform/page-lifecycle.js'
import { liveQuery, type LiveQuery } from './live.js'

/** What `liveProjection` folds. */
export interface LiveProjectionSpecification<E extends EventShape, S, Next = never> {
  /** The state before the first event. Never changed: a fold answers a new one. */
  readonly initial: S
  /** By event type: what becomes of the state. Must not wait. */
  readonly on: { readonly [N in E['type']]?: (state: S, event: RecordedEvent<EventOfType<E, N>>) => NoInfer<S> | Next }
  /** Further narrows which events are read. @default the types of `on` */
  readonly filter?: EventFilter<E>
}

const pageSize = 4096
/** A lost hint is made up for within so many ms (H66). */
const slowPoll = 5_000

/**
 * Folds the log into a value that follows it, in this context alone: nothing is stored, and every context that asks folds for
 * itself. Begins with the first subscriber, rests without one, and goes on from where it was. A fold that throws shows as
 * `{ state: 'error' }`, and is tried again at the next append.
 *
 * @throws InvalidArgumentError, InvalidNameError for a filter or fold that is none
 *
 * @example
 * const total = liveProjection(store, { initial: 0, on: { FlightLanded: (sum, event) => sum + event.data.delay } })
 * total.subscribe(() => console.log(total.getSnapshot()))
 */
export function liveProjection<E extends EventShape, S, L extends Literal = Literal, Next extends S & Literals<L> = S & Literals<L>>(
  store: Pick<EventStore<E>, 'readEvents' | 'subscribe'>, specification: LiveProjectionSpecification<E, S, Next>,
): LiveQuery<S>
/** The same, for a fold that is typed by its own events: see `FitsStore`. */
export function liveProjection<E extends EventShape, S, Own extends EventShape = E>(
  store: Pick<EventStore<E>, 'readEvents' | 'subscribe'>, specification: LiveProjectionSpecification<Own, S> & FitsStore<E, Own>,
): LiveQuery<S>
export function liveProjection<E extends EventShape, S>(
  store: Pick<EventStore<E>, 'readEvents' | 'subscribe'>, specification: LiveProjectionSpecification<E, S>,
): LiveQuery<S> {
  const on = specification.on as Record<string, ((state: S, event: RecordedEvent<E>) => S) | undefined>
  for (const [type, fold] of Object.entries(on)) if (typeof fold !== 'function') throw new InvalidArgumentError(`on.${type}`, 'must be a function.')
  const filter: EventFilter<E> = { types: Object.keys(on), ...specification.filter }
  compileFilter(filter)
  let state = specification.initial
  let position = 0
  return liveQuery({
    async evaluate() {
      const ahead = new RecordsAhead()
      const options: PageReadOptions = { ahead }
      for (;;) {
        await ahead.slices.turn()
        const page = await store.readEvents(filter, { after: position, limit: pageSize }, options)
        for (const event of page.events) {
          const fold = Object.hasOwn(on, event.type) ? on[event.type] : undefined
          if (fold !== undefined) state = fold(state, event)
          position = event.position
          if (ahead.slices.isOver) await ahead.slices.turn()
        }
        position = Math.max(position, page.scannedTo)
        if (position >= page.head) return { value: state, position }
      }
    },
    watch(changed) {
      const unsubscribe = store.subscribe((head) => {
        if (head > position) changed()
      })
      const timer = setInterval(changed, slowPoll)
      const stopFollowing = pageLifecycle()?.subscribe((presence) => {
        if (presence !== 'away') changed()
      })
      return () => {
        unsubscribe()
        clearInterval(timer)
        stopFollowing?.()
      }
    },
  })
}
