/** Notices commands that have no name in an app whose others have one: for the development build. */
import { say } from '../messages.js'
import { nameOfCommand, type CommandFunctions, type NamedCommand } from './define-commands.js'

/** The commands that were warned of: those of one definition have the same text. */
const warned = new Set<string>()

/** Looks at a command that an app executes. Warns once for each definition. */
export function lookAtCommand(command: NamedCommand | undefined, commands: CommandFunctions): void {
  const name = nameOfCommand(command)
  if (name !== undefined && Object.hasOwn(commands, name)) return
  const what = name === undefined ? String((command as Partial<NamedCommand> | undefined)?.decide) : name
  if (warned.has(what)) return
  warned.add(what)
  const [one = 'name'] = Object.keys(commands)
  if (__DEV__)
    console.warn(
      name === undefined
        ? say`tidemark: execute() got a command that is not one of 'sync.commands', so it has no name: after a conflict it cannot decide again, and is refused. Put it into defineCommands({ … }), and execute what that returned: execute(commands.${one}(…)). Its decide is ${what.slice(0, 200)} Warned once for each command.`
        : say`tidemark: execute() got the command '${name}', which 'sync.commands' does not have: after a conflict nothing here can decide it again. Give 'sync.commands' what the defineCommands() returned that made it. Warned once for each command.`,
    )
}
