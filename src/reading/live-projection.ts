/** One small fold over the log, in this context's memory: for models that need no storage. */
import { InvalidArgumentError } from '../errors.js'
import { say } from '../messages.js'
import type { EventOfType } from '../events/catalogue-types.js'
import type { EventShape, RecordedEvent } from '../events/event.js'
import type { FitsStore } from '../events/fits.js'
import { freshCopy } from '../events/fresh-copy.js'
import type { Literal, Literals } from '../events/literals.js'
import type { EventFilter, EventStore } from '../log/event-store.js'
import { compileFilter } from '../log/filter.js'
import { closedError, internalsOf } from '../log/open.js'
import type { ReadPage } from '../log/pages.js'
import { RecordsAhead } from '../log/records-ahead.js'
import { onlyKnown } from '../platform/arguments.js'
import { systemClock, type Clock } from '../platform/clock.js'
import { lookOut } from '../platform/lookout.js'
import { isRefusedPromise } from '../platform/promises.js'
import { Folding, type Folds } from '../events/folding.js'
import { laidOver, type FoldedModel } from './laid-over.js'
import { liveQuery, type LiveQuery } from './live-query.js'
import { isObject } from '../platform/objects.js'

/** What `liveProjection` folds. */
export interface LiveProjectionSpec<E extends EventShape, S, Next = never> {
  /**
   * The state before the first event. It is copied, except for instances of classes and functions in it, so that a fold
   * which changes it in place does not change the app's own object.
   */
  readonly initial: S
  /**
   * By event type: returns the next state, synchronously. Return a new object if something changes: a state that is
   * changed in place works, too, but is copied each time it is shown.
   */
  readonly on: { readonly [N in E['type']]?: (state: S, event: RecordedEvent<EventOfType<E, N>>) => NoInfer<S> | Next }
  /** Further narrows which events are read. @default the types of `on` */
  readonly filter?: EventFilter<E>
  /** For tests: drives the pauses and limits of its runs. @default the clock of this context */
  readonly clock?: Clock
}

const pageSize = 4096
/** How often the log is read although no hint came, ms. */
const slowPoll = 5_000

/**
 * Folds the log into a value that follows it, in the memory of this context: nothing is stored, and every context folds
 * for itself. Begins with the first subscriber, rests without one, and continues from where it was. If a fold throws,
 * the snapshot is an `'error'`, and the event is tried again as the run of any live query. Of a closed store the
 * snapshot is an `'error'` with a ClosedError and the last value.
 *
 * @throws InvalidArgumentError, InvalidNameError for an unknown option, a fold that is not a function, and an invalid
 * filter
 *
 * @example
 * const total = liveProjection(store, { initial: 0, on: { FlightLanded: (sum, event) => sum + event.data.delay } })
 * total.subscribe(() => console.log(total.getSnapshot()))
 */
export function liveProjection<
  E extends EventShape,
  S,
  L extends Literal = Literal,
  Next extends S & Literals<L> = S & Literals<L>,
>(store: Pick<EventStore<E>, 'readPage' | 'subscribe'>, specification: LiveProjectionSpec<E, S, Next>): LiveQuery<S>
/** The same, for a fold that is typed by its own events: see `FitsStore`. */
export function liveProjection<E extends EventShape, S, Own extends EventShape = E>(
  store: Pick<EventStore<E>, 'readPage' | 'subscribe'>,
  specification: LiveProjectionSpec<Own, S> & FitsStore<E, Own>,
): LiveQuery<S>
export function liveProjection<E extends EventShape, S>(
  store: Pick<EventStore<E>, 'readPage' | 'subscribe'>,
  specification: LiveProjectionSpec<E, S>,
): LiveQuery<S> {
  onlyKnown(specification ?? null, ['initial', 'on', 'filter', 'clock'], 'projection')
  if (!isObject(specification.on)) throw new InvalidArgumentError('on', say`must be { type: fold }.`)
  const on = specification.on as Record<string, ((state: S, event: RecordedEvent<E>) => S) | undefined>
  for (const [type, fold] of Object.entries(on))
    if (typeof fold !== 'function') throw new InvalidArgumentError(`on.${type}`, say`must be a function.`)
  const filter: EventFilter<E> = { types: Object.keys(on), ...specification.filter }
  compileFilter(filter)
  if (isRefusedPromise(specification.initial))
    throw new InvalidArgumentError('initial', say`must not be a promise. Await it before.`)
  const { initial, clock = systemClock } = specification
  const parts = internalsOf(store)
  const end = () => closedError(parts)
  const over = laidOver(store)
  if (over !== undefined) return liveQuery(over.fold({ initial, on, filter } as FoldedModel<S>, clock, end), clock)
  /** Counts evaluations: one that was given up must not fold in parallel with the next. */
  let latest = 0
  const folding = new Folding<S>(on as Folds<S>, initial)
  /**
   * What is shown, and the state it is of. Never the same object if folds change their state in place: it would change
   * under its readers.
   */
  let data = initial
  let valueOf = folding.state
  let isOld = false
  return liveQuery(
    {
      end,
      async evaluate(progress) {
        const mine = (latest += 1)
        const ahead = new RecordsAhead()
        const reader = store as { readPage: ReadPage<E> }
        for (;;) {
          await ahead.slices.turn()
          const page = await reader.readPage({ filter, after: folding.position, limit: pageSize }, { ahead })
          progress()
          for (const event of page.events) {
            if (mine !== latest) return undefined
            isOld ||= Object.hasOwn(on, event.type)
            try {
              folding.fold(event)
            } catch (error) {
              valueOf = folding.state
              throw error
            }
            if (ahead.slices.isOver) {
              progress()
              await ahead.slices.turn()
            }
          }
          if (mine !== latest) return undefined
          folding.position = Math.max(folding.position, page.scannedTo)
          if (folding.position < page.head) continue
          const { state, position } = folding
          if (isOld) data = state === valueOf ? freshCopy(state) : state
          valueOf = state
          isOld = false
          folding.keep(data)
          return { data, position }
        }
      },
      watch(changed, ended) {
        const stops = [
          store.subscribe((head) => {
            if (head > folding.position) changed()
          }),
          lookOut(clock, slowPoll, changed),
          // With each hint it is looked whether the store is open; the last one comes when it is closed.
          parts?.signals.listen(ended),
        ]
        return () => {
          for (const stop of stops) stop?.()
        }
      },
    },
    clock,
  )
}
