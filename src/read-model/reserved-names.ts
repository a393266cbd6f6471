/** Names that tables must not have, because a view has members of these names, or may get them. */
import { InvalidNameError } from '../errors.js'
import { tableName } from '../events/names.js'
import { say } from '../messages.js'

/**
 * Members of a view and of a model, present and future ones, and `then`, which would make `await view` call a table.
 */
const reservedTables = [
  'at',
  'caughtUp',
  'close',
  'confirmed',
  'deadLetters',
  'definition',
  'live',
  'name',
  'pause',
  'position',
  'ready',
  'rebuild',
  'resume',
  'skip',
  'status',
  'stop',
  'tables',
  'then',
  'verify',
] as const

/**
 * Names that a table must not have: a view has its tables as properties, next to members of these names. Names that
 * begin with `$` or `tidemark:` are reserved as well.
 */
export type ReservedTableName = (typeof reservedTables)[number]

/** For the compiler: what is wrong with the name of a table, if anything. */
export type ReservedProblem<Name> = Name extends ReservedTableName | `$${string}` | `tidemark:${string}`
  ? `'${Name}' is a reserved name: rename the table`
  : never

/** @throws InvalidNameError for what is not the name of a table, and for a reserved one */
export function assertTableName(value: string): void {
  const name = tableName(value)
  if (/^(\$|tidemark:)/.test(name))
    throw new InvalidNameError('Table name', value, say`must not start with '$' or 'tidemark:', which are reserved.`)
  if ((reservedTables as readonly string[]).includes(name))
    throw new InvalidNameError(
      'Table name',
      value,
      say`must not be one of ${reservedTables.join(', ')}: a view has members of these names, or may get them.`,
    )
}
