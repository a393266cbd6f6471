/**
 * Given events, when a command or a projection runs, then this came of it: tests that read as sentences, under any test
 * runner.
 */
import type { Command, CommandEvent, CommandResult, Decision, ReasonOf } from '../commands/command.js'
import { execute } from '../commands/execute.js'
import { InvalidArgumentError } from '../errors.js'
import type { EventCatalogue } from '../events/catalogue-types.js'
import type { EventShape } from '../events/event.js'
import type { FitsStore, Reads } from '../events/fits.js'
import type { Literal, Literals } from '../events/literals.js'
import { openEventStore, type TidemarkStore } from '../memory/index.js'
import { say } from '../messages.js'
import type { Projection, RowOf, Tables } from '../read-model/define.js'
import { runProjection } from '../running/run-projection.js'
import { openReadModel } from '../reading/read-model-view.js'
import { collect, equal, rejects } from './contract/assert.js'
import { virtualClock } from './virtual-clock.js'

/** What has happened before; see {@link given}. */
export interface Given<E extends EventShape> {
  /** A command that is executed on it. Runs again for each `then…`. */
  when<
    S,
    const D extends Decision<Own>,
    Own extends EventShape = E,
    L extends Literal = Literal,
    Next extends S & Literals<L> = S & Literals<L>,
  >(
    command: Command<Own, S, D, Next> & FitsStore<E, Own>,
  ): WhenCommand<Own, ReasonOf<D>>
  /** A projection that runs over it. Runs again for each `then…`. */
  whenProjected<T extends Tables, Own extends EventShape = E, R extends Reads = Reads>(
    definition: Projection<Own, T, R> & FitsStore<E, Own, R>,
  ): WhenProjected<T>
}

/** What may be said of a command. Every promise rejects with an `Error` that has what was `expected`, and what came as `actual`. */
export interface WhenCommand<E extends EventShape, R> {
  /** Exactly these events are stored, in this order. Ids count only where they are given. None: `thenEvents([])`. */
  thenEvents(expected: readonly CommandEvent<E>[]): Promise<void>
  /** It is refused, for this reason, and nothing is stored. */
  thenRefused(reason: R): Promise<void>
  /** It rejects with an error of this `code` or `name`, and nothing is stored. */
  thenThrows(code: string): Promise<void>
  /** The result of `execute`, for other checks. */
  result(): Promise<CommandResult<E, R>>
}

/** What may be said of a projection. */
export interface WhenProjected<T extends Tables> {
  /** The rows of the tables that are named, all of them, in the order of their keys. */
  thenRows(expected: { readonly [N in keyof T]?: readonly RowOf<T[N]>[] }): Promise<void>
  /** It fails for good; `code` or `name` is that of the error that the handler threw. */
  thenFails(code: string): Promise<void>
}

/**
 * A past, for a test of a command or a projection in memory. Pauses take no time, and a conflict cannot happen.
 *
 * @example
 * await given([{ stream: 'account-a', type: 'Deposited', data: { amount: 50 } }])
 *   .when(withdraw('account-a', 30))
 *   .thenEvents([{ stream: 'account-a', type: 'Withdrawn', data: { amount: 30 } }])
 *
 * await given(flights).whenProjected(board).thenRows({ airports: [{ code: 'LAS', landed: 2 }] })
 *
 * @param history in the order of the log. Each place is an event of its own: the same object, or another with the same id,
 * is refused.
 * @param events the app's events, where they have schemas or versions. @default any event
 */
export function given<E extends EventShape = EventShape>(
  history: readonly CommandEvent<E>[],
  events?: EventCatalogue<E>,
): Given<E> {
  /** Opens a store with the past in it, and closes it afterwards. */
  const within = async <A>(work: (store: TidemarkStore<E>) => Promise<A>): Promise<A> => {
    const store = await openEventStore<E>({ name: 'given', ...(events === undefined ? {} : { events }) })
    try {
      for (const [at, { stream, ...event }] of history.entries()) {
        const { duplicate } = await store.append({ stream, events: [event as unknown as E] })
        if (duplicate)
          throw new InvalidArgumentError(
            `history[${at}]`,
            say`has the id of an event before it, so a store keeps one of them. Is it the same object? Create an event for each place.`,
          )
      }
      return await work(store)
    } finally {
      await store.close()
    }
  }
  return {
    // What is stored and what the command is typed by were held against each other by the types above.
    when: (command) =>
      whenCommand(
        command as Command<EventShape, unknown>,
        within as unknown as Within<EventShape>,
        history.length,
      ) as never,
    whenProjected: (definition) => whenProjected(definition as unknown as Projection<E>, within) as never,
  }
}

type Within<E extends EventShape> = <A>(work: (store: TidemarkStore<E>) => Promise<A>) => Promise<A>

function whenCommand<E extends EventShape, S, D extends Decision<E>>(
  command: Command<E, S, D>,
  within: Within<E>,
  past: number,
): WhenCommand<E, ReasonOf<D>> {
  const run = (store: TidemarkStore<E>): Promise<CommandResult<E, ReasonOf<D>>> =>
    execute(store, command as never, { retry: { maxRetries: 0 } })
  const stored = (store: TidemarkStore<E>) => collect(store.read({ after: past }))
  return {
    thenEvents: (expected) =>
      within(async (store) => {
        const result = await run(store)
        if (result.type === 'refused') equal(result, { type: 'accepted' }, 'the result')
        const found = (await stored(store)).map(({ stream, type, data, meta, id }, index) => ({
          stream,
          type,
          data,
          ...(meta === undefined ? {} : { meta }),
          ...(expected[index]?.id === undefined ? {} : { id }),
        }))
        // What a creator says of its event is not stored.
        equal(
          found,
          expected.map(({ checked: _, ...event }) => event),
          'the events',
        )
      }),
    thenRefused: (reason) =>
      within(async (store) => {
        const result = await run(store)
        equal(
          result.type === 'refused'
            ? { type: result.type, reason: result.reason }
            : { type: result.type, events: result.events },
          { type: 'refused', reason },
          'the result',
        )
        equal(await stored(store), [], 'the events')
      }),
    thenThrows: (code) =>
      within(async (store) => {
        await rejects(() => run(store), code, 'the command')
        equal(await stored(store), [], 'the events')
      }),
    result: () => within(run),
  }
}

function whenProjected<E extends EventShape, T extends Tables>(
  definition: Projection<E, T>,
  within: Within<E>,
): WhenProjected<T> {
  const run = (store: TidemarkStore<E>) => {
    const clock = virtualClock()
    return clock.runUntil(runProjection(store, definition as never, { clock }))
  }
  return {
    thenRows: (expected) =>
      within(async (store) => {
        await run(store)
        const view = await openReadModel<E, T>(store, definition as never)
        for (const [table, rows] of Object.entries(expected)) {
          if (!Object.hasOwn(definition.tables, table))
            throw new InvalidArgumentError(
              'expected',
              say`names '${table}'. The tables of '${definition.name}' are ${Object.keys(definition.tables).join(', ')}.`,
            )
          equal(await view[table as keyof T & string].getAll(), rows, `the rows of '${table}'`)
        }
        await view.close()
      }),
    thenFails: (code) =>
      within(async (store) => {
        const failure = await rejects(() => run(store), 'projection-failed', 'the projection')
        await rejects(() => Promise.reject(failure['cause'] as Error), code, 'the handler')
      }),
  }
}
