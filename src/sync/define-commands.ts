/** Commands by name: what they decide is decided again after a conflict, also after a reload and in a service worker. */
import type { Decision } from '../commands/command.js'
import { InvalidArgumentError, messageOf } from '../errors.js'
import type { EventShape } from '../events/event.js'
import { isPlainPrototype, toJsonText } from '../events/json.js'
import { decodedBy, encodedBy, type Codec } from '../log/encode.js'
import { say } from '../messages.js'
import { isObject } from '../platform/objects.js'

/** A command, as far as its name and what it decides go. */
export interface NamedCommand<E extends EventShape = EventShape> {
  readonly streams: readonly string[]
  readonly evolve: (state: never, event: never) => unknown
  readonly decide: (state: never) => Decision<E>
}

/** Functions that make commands, by name. */
export interface CommandFunctions<E extends EventShape = EventShape> {
  readonly [name: string]: (...args: never[]) => NamedCommand<E>
}

/** What the outbox keeps of a command. */
export interface CommandRow {
  readonly name: string
  /** JSON, as the codec wrote it. */
  readonly args: string
}

/** What made a command, by the command. */
const made = new WeakMap<object, CommandRow>()

/**
 * Gives functions that make commands their names. What `execute` appends to a synced store by such a command carries the
 * name and the arguments: if the server finds a conflict, the command decides again on the new state, in the tab that
 * syncs, after a reload, or in a service worker. A command that was not made this way is refused by a conflict.
 *
 * Give the same object to `openSyncedStore` as `commands`. Names are stored, so an old one must stay as long as a commit
 * of it may be in an outbox; so must the meaning of its arguments.
 *
 * @throws InvalidArgumentError from a function that makes a command, for arguments that are not JSON
 *
 * @example
 * const commands = defineCommands({
 *   withdraw: defineCommand(events, (account: string, amount: number) => ({
 *     streams: [account],
 *     initial: 0,
 *     evolve: (balance, event) => (event.type === 'Deposited' ? balance + event.data.amount : balance - event.data.amount),
 *     decide: (balance) =>
 *       balance < amount ? refuse('insufficient funds') : [{ stream: account, type: 'Withdrawn', data: { amount } }],
 *   })),
 * })
 * const store = await openSyncedStore({ name: 'bank/anna', events, commands, url })
 * await execute(store, commands.withdraw('account-7', 30))
 */
export function defineCommands<const C extends CommandFunctions>(commands: C): C {
  assertCommands(commands)
  const named: Record<string, (...args: never[]) => NamedCommand> = {}
  for (const [name, make] of Object.entries(commands))
    named[name] = (...args) => {
      let text: string
      try {
        text = toJsonText(args, 'args')
      } catch (cause) {
        throw new InvalidArgumentError(say`The arguments of command '${name}'`, say`must be JSON: ${messageOf(cause)}`)
      }
      const given = make(...args)
      // A function may return the same object each time.
      const command =
        isObject(given) && isPlainPrototype(Object.getPrototypeOf(given) as object | null) ? { ...given } : given
      if (isObject(command)) made.set(command, { name, args: text })
      return command
    }
  return Object.freeze(named) as C
}

/** The name of a command; nothing for one that `defineCommands` did not name. */
export const nameOfCommand = (command: object | undefined): string | undefined =>
  isObject(command) ? made.get(command)?.name : undefined

/** @throws InvalidArgumentError for anything else than functions by name */
export function assertCommands(commands: unknown): void {
  const isGood =
    isObject(commands) &&
    !Array.isArray(commands) &&
    Object.values(commands).every((each) => typeof each === 'function')
  if (!isGood) throw new InvalidArgumentError('commands', say`must be an object of functions that make commands.`)
}

/** What the codec takes with the arguments of a command. */
const about = (name: string) => ({ type: name, stream: '', id: '' })

/** What the outbox keeps of a command; nothing for one that has no name. */
export async function commandRow(
  command: object | undefined,
  codec: Codec | undefined,
): Promise<CommandRow | undefined> {
  const row = command && made.get(command)
  if (row === undefined || codec === undefined) return row
  const args = await encodedBy(codec, JSON.parse(row.args), about(row.name), say`The arguments of '${row.name}'`)
  return { name: row.name, args: toJsonText(args, 'args') }
}

/** A codec may fail for a while, such as one without its key: that is not the fault of a command. */
export class CodecFailure extends Error {}

/** @throws CodecFailure, with what the codec threw as its cause */
async function ofCodec<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    throw new CodecFailure(messageOf(cause), { cause })
  }
}

/** The command once more; nothing for an unknown name. */
export async function commandAgain(
  { name, args }: CommandRow,
  commands: CommandFunctions,
  codec: Codec | undefined,
): Promise<NamedCommand | undefined> {
  if (!Object.hasOwn(commands, name)) return undefined
  const stored: unknown = JSON.parse(args)
  const given = await ofCodec(async () => decodedBy(codec, stored, about(name), 0))
  return commands[name]?.(...(given as never[]))
}
