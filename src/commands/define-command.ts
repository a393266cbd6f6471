/** Reusable commands, typed by the events of the app. */
import type { EventCatalogue } from '../events/catalogue.js'
import type { EventShape } from '../events/event.js'
import type { Literal, Literals } from '../events/literals.js'
import type { Command, Decision } from './command.js'

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
// second.
export function defineCommand<
  E extends EventShape,
  S,
  const D extends Decision<E>,
  A extends readonly unknown[] = never,
  L extends Literal = Literal,
  Next extends S & Literals<L> = S & Literals<L>,
>(
  events: EventCatalogue<E>,
  command: Command<E, S, D, Next> | ((...args: A) => Command<E, S, D, Next>),
): [A] extends [never] ? Command<E, S, D> : (...args: A) => Command<E, S, D>
export function defineCommand(_events: EventCatalogue, command: unknown): unknown {
  return command
}
