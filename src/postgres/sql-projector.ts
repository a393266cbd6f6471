/** Projectors into tables of the app's own: what they write and their checkpoint are one transaction. */
import { InvalidArgumentError } from '../errors.js'
import type { EventShape, RecordedEvent } from '../events/event.js'
import { projectionName } from '../events/names.js'
import type { EventFilter } from '../log/event-store.js'
import { say } from '../messages.js'
import { onlyKnown } from '../platform/arguments.js'
import { isObject } from '../platform/objects.js'
import { ownTarget, PlainTarget, type OwnTarget } from '../projection/plain.js'
import type { Projector } from '../projection/projector.js'
import type { FailureContext, FailureStrategy } from '../projection/target.js'
import { partsOf, type PostgresStore } from './postgres-store.js'
import type { ProjectorSql } from './projector-call.js'
import { ProjectorTarget } from './projector-target.js'
import { ProjectorTransactions, type ApplyRun } from './projector-transactions.js'

/** What {@link sqlProjector} takes: `apply`, or `applyAll` for what has to be fast. */
export type SqlProjectorSpec<E extends EventShape = EventShape> = {
  /** The name of its checkpoint and of its lock. */
  readonly name: string
  /** Which events. @default all */
  readonly filter?: EventFilter<E>
  /** As that of a `Projector`. @default 'fatal' */
  onFailure?(failure: FailureContext<E>): FailureStrategy | Promise<FailureStrategy>
} & (
  | {
      /**
       * Writes to the app's tables, by `sql` alone. Events come one after the other, in the order of the log. May be
       * called again for an event: what the earlier call wrote was rolled back. Await each statement. An event fails
       * whose statement failed, also if you catch that, unless you return to a savepoint of your own: PostgreSQL takes
       * no further statement in that transaction.
       */
      apply(event: RecordedEvent<E>, sql: ProjectorSql): Promise<void>
      readonly applyAll?: never
    }
  | {
      /**
       * The same for a run of events: 1 to 1,000, in the order of the log. A statement for many of them saves the
       * round trips. If it rejects, all that it wrote is rolled back, and its events come again one by one, each in a
       * call of its own, so that `onFailure` decides about the one that fails.
       */
      applyAll(events: readonly RecordedEvent<E>[], sql: ProjectorSql): Promise<void>
      readonly apply?: never
    }
)

/**
 * A projector into tables of your own in the same database, each event exactly once: what `apply` writes and the
 * checkpoint are committed nextRun. Run it with `runProjection` or `startProjection` over this store. If two processes
 * run it, one of them gets a `LeadershipLostError` or waits, and no event counts twice.
 *
 * While it catches up, one transaction covers many events. If one of them fails, it alone is rolled back, and `onFailure`
 * decides.
 *
 * Its checkpoint belongs to its name alone. Within a process, a second one of the same name whose functions or filter
 * differ is refused with a DefinitionChangedError while the first runs. Between processes that is not noticed: each event
 * is written by the code of whichever runs, so give it another name, and another table, if it is to write something else.
 *
 * @throws InvalidArgumentError, InvalidNameError
 *
 * @example
 * const revenue = sqlProjector(store, {
 *   name: 'revenue',
 *   filter: { types: ['OrderPaid'] },
 *   apply: async ({ data, time }, sql) => {
 *     await sql.query(
 *       `insert into revenue (day, cents) values (to_timestamp($1 / 1000.0)::date, $2)
 *        on conflict (day) do update set cents = revenue.cents + excluded.cents`,
 *       [time, data.cents],
 *     )
 *   },
 * })
 * const projection = startProjection(store, revenue)
 *
 * @example
 * // Many events in one statement.
 * const payments = sqlProjector(store, {
 *   name: 'payments',
 *   applyAll: async (events, sql) => {
 *     const rows = events.map(({ id, data }) => ({ id, cents: data.cents }))
 *     await sql.query(
 *       `insert into payments select * from json_to_recordset($1::json) as row(id text, cents int)`,
 *       [JSON.stringify(rows)],
 *     )
 *   },
 * })
 */
export function sqlProjector<E extends EventShape>(
  store: PostgresStore<E>,
  specification: SqlProjectorSpec<E>,
): Projector<E> {
  const { database, place } = partsOf(store)
  const work = workOf(specification)
  onlyKnown(specification, ['name', 'filter', 'apply', 'applyAll', 'onFailure'], 'projector')
  const name = projectionName(specification.name)
  const { filter, onFailure, applyAll } = specification
  const projector: Projector<E> & OwnTarget<E> = {
    name,
    ...(filter !== undefined && { filter }),
    apply: withTextOf(async (event: RecordedEvent<E>, transactions: unknown) => {
      if (!(transactions instanceof ProjectorTransactions))
        throw new InvalidArgumentError('projector', say`must be run by runProjection or startProjection.`)
      await transactions.apply(event)
    }, specification.apply ?? applyAll),
    ...(onFailure !== undefined && {
      onFailure: withTextOf((failure: FailureContext<E>) => onFailure.call(specification, failure), onFailure),
    }),
    // Each target has transactions of its own, also where a process has several: they know nothing of each other.
    [ownTarget]: class extends ProjectorTarget<E> {
      constructor(...given: ConstructorParameters<typeof PlainTarget<E, unknown>>) {
        super(new ProjectorTransactions<E>(database, place, name, work, applyAll !== undefined), given)
      }
    },
  }
  return projector
}

/** A function that shows the text of another one: two definitions of one name are told apart by their texts. */
const withTextOf = <F extends object>(own: F, given: unknown): F =>
  Object.defineProperty(own, 'toString', { value: () => String(given) })

/** @throws InvalidArgumentError */
function workOf<E extends EventShape>(specification: SqlProjectorSpec<E>): ApplyRun<E> {
  if (isObject(specification)) {
    const { apply, applyAll } = specification
    if (typeof apply === 'function' && applyAll === undefined)
      return ([event], sql) => apply.call(specification, event as RecordedEvent<E>, sql)
    if (typeof applyAll === 'function' && apply === undefined)
      return (events, sql) => applyAll.call(specification, events, sql)
  }
  throw new InvalidArgumentError('projector', say`must be { name, apply } or { name, applyAll }.`)
}
