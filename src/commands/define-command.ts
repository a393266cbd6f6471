/** Reusable commands, typed by the events of the app. */
import type { EventCatalogue } from '../events/catalogue-types.js'
import type { EventShape } from '../events/event.js'
import type { Literal, Literals } from '../events/literals.js'
import type { Command, Decision } from './command.js'

/**
 * What the compiler refused, and so knows nothing of: it says so where the command is defined, and not once more where
 * the command is made or executed.
 */
type Refused<C> = C & ((...args: readonly unknown[]) => C)

/**
 * Types a command, or a function that makes commands, by an event catalogue. Returns its argument.
 *
 * @example
 * const withdraw = defineCommand(events, (account: string, amount: number) => ({
 *   streams: [account],
 *   initial: 0,
 *   evolve: (balance, event) => (event.type === 'Deposited' ? balance + event.data.amount : balance - event.data.amount),
 *   decide: (balance) =>
 *     balance < amount ? refuse('insufficient funds') : [{ stream: account, type: 'Withdrawn', data: { amount } }],
 * }))
 * await execute(store, withdraw('account-7', 30))
 */
// One signature, not two: the compiler would type a function within the command by the first, before it tries the
// second. `Given` is inferred only where the argument is right.
export function defineCommand<
  E extends EventShape,
  S,
  const D extends Decision<E>,
  A extends readonly unknown[] = never,
  L extends Literal = Literal,
  Next extends S & Literals<L> = S & Literals<L>,
  Given = unknown,
>(
  events: EventCatalogue<E>,
  command: (Command<E, S, D, Next> | ((...args: A) => Command<E, S, D, Next>)) & Given,
): [A] extends [never]
  ? unknown extends Given
    ? Refused<Command<E, S, D>>
    : Command<E, S, D>
  : (...args: A) => Command<E, S, D>
export function defineCommand(_events: EventCatalogue, command: unknown): unknown {
  return command
}
