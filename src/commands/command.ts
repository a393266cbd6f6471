/** What a command is: which streams it reads, how it folds them, and what it decides. */
import { CommandRefusedError, InvalidArgumentError } from '../errors.js'
import { say } from '../messages.js'
import type { EventShape, NewEvent, RecordedEvent } from '../events/event.js'
import type { FitsStore } from '../events/fits.js'
import { isRefusedPromise } from '../platform/promises.js'

/** An event that a command decided: each one names its own stream. */
export type CommandEvent<E extends EventShape = EventShape> = NewEvent<E> & { readonly stream: string }

/** The refusal of a command, with its reason. Created by {@link refuse}. */
export interface Refusal<R = unknown> {
  readonly type: 'refused'
  readonly reason: R
}

/** `T` with lists that may be constant, as the compiler infers lists that are written in place. */
export type Constant<T> = unknown extends T
  ? T
  : T extends readonly unknown[]
    ? number extends T['length']
      ? readonly Constant<T[number]>[]
      : { readonly [K in keyof T]: Constant<T[K]> }
    : T extends object
      ? { readonly [K in keyof T]: Constant<T[K]> }
      : T

/** As {@link CommandEvent}, with data that is written in place. */
export type DecidedEvent<E extends EventShape = EventShape> = E extends EventShape
  ? CommandEvent<
      Omit<E, 'data' | 'meta'> & { readonly type: E['type']; readonly data: Constant<E['data']> } & Constant<
          Pick<E, Extract<keyof E, 'meta'>>
        >
    >
  : never

/** What `decide` returns: new events, possibly none, or a refusal. */
export type Decision<E extends EventShape = EventShape> = readonly (CommandEvent<E> | DecidedEvent<E>)[] | Refusal

/** The type of the reasons in a decision; `unknown` if all of them come from {@link ensure}. */
export type ReasonOf<D> = [Extract<D, Refusal>] extends [never] ? unknown : Extract<D, Refusal>['reason']

/**
 * A decision on the current state of some streams. What it reads is its consistency boundary: it is carried out only if
 * none of these streams, with or without new events, changed meanwhile.
 *
 * `Next` is for inference: what `evolve` returns, with its literals. Leave it out.
 *
 * All functions are pure and synchronous. After a conflict they run again, on the new state.
 */
export interface Command<E extends EventShape, S, D extends Decision<E> = Decision<E>, Next = never> {
  /** For messages only. */
  readonly name?: string
  /** The streams that are read first, in this order: at least one, none twice. */
  readonly streams: readonly string[]
  /**
   * The state before any event. Each attempt gets a copy of its own, so `evolve` may change it in place. Instances of
   * classes and functions in it are not copied. If `evolve` changes those, or if the state is large, pass a function
   * that makes the state.
   */
  readonly initial: S | (() => S)
  /**
   * Folds one event into the state. It sees every event of its streams: return the state unchanged for those it does
   * not know. Synchronous.
   */
  readonly evolve: (state: S, event: RecordedEvent<E>) => NoInfer<S> | Next
  /**
   * More streams to read, known from the state so far: at most 1,000. Called after each stream; streams that were
   * already read do not count.
   */
  readonly discover?: (state: NoInfer<S>) => readonly string[]
  /** New events, possibly none, or {@link refuse}. Events may go only to streams that were read. Synchronous. */
  readonly decide: (state: NoInfer<S>) => D
}

/** The events in a decision. */
export type DecidedBy<D> = Extract<Exclude<D, Refusal>, readonly unknown[]>[number]

/**
 * `unknown` if a command that is typed by `Own` fits a store of `Store`, otherwise a text that says why it does not.
 */
export type FitsCommand<Store extends EventShape, Own extends EventShape, D> = [DecidedBy<D>] extends [
  CommandEvent<Store> | DecidedEvent<Store>,
]
  ? FitsStore<Store, Own>
  : `It decides '${Exclude<DecidedBy<D>, CommandEvent<Store> | DecidedEvent<Store>> extends { readonly type: infer N extends string } ? N : 'an event'}', which is no event of the store.`

/** The outcome of a command: appended events, or a refusal. */
export type CommandResult<E extends EventShape = EventShape, R = unknown> =
  | {
      readonly type: 'accepted'
      /** The position of the last new event; the head of the log if the command decided none. For `caughtUp`. */
      readonly position: number
      /** The version of every stream read, after the append. Has no prototype. */
      readonly versions: Readonly<Record<string, number>>
      /** How often the command was tried: 1 if there was no conflict. */
      readonly attempts: number
      /** What `decide` returned. */
      readonly events: readonly CommandEvent<E>[]
    }
  | { readonly type: 'refused'; readonly reason: R; readonly attempts: number }

/**
 * The refusal of a command: `return refuse('insufficient funds')`. The result has the type of the reason.
 */
export function refuse<const R>(reason: R): Refusal<R> {
  return { type: 'refused', reason }
}

/**
 * Ends `decide` with a refusal unless the condition holds: `ensure(state.open, 'the account is closed')`.
 *
 * TypeScript does not know what a function throws: return {@link refuse} if the type of the reason matters.
 *
 * @throws CommandRefusedError which `execute` turns into a refused result
 * @throws InvalidArgumentError for a promise, which would always hold
 */
export function ensure(condition: unknown, reason: unknown): asserts condition {
  if (isRefusedPromise(condition))
    throw new InvalidArgumentError(
      'ensure',
      say`was given a promise, which always holds. Await it before the command is executed.`,
    )
  if (!condition) throw new CommandRefusedError(reason)
}
