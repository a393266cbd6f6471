/** Names that the models of an app must not have, because the app has members of these names, or may get them. */
import { InvalidNameError } from '../errors.js'
import { say } from '../messages.js'

/** Members of an app, present and future ones. `then` would make `await app` call a model. */
const reservedModels = [
  'append',
  'at',
  'catchUp',
  'close',
  'definition',
  'events',
  'execute',
  'follow',
  'head',
  'models',
  'name',
  'observe',
  'persist',
  'read',
  'readStream',
  'ready',
  'reopen',
  'status',
  'store',
  'sync',
  'then',
  'undo',
  'usage',
] as const

/**
 * Names that a model of `tidemark()` must not have: an app has its models as properties, next to members of these
 * names. Names that begin with `$` are reserved as well.
 */
export type ReservedModelName = (typeof reservedModels)[number]

/** @throws InvalidNameError for a reserved name */
export function assertModelName(name: string): void {
  if (name === '' || name.startsWith('$') || (reservedModels as readonly string[]).includes(name))
    throw new InvalidNameError(
      'Model name',
      name,
      say`must not begin with '$', nor be one of ${reservedModels.join(', ')}: an app has members of these names, or may get them.`,
    )
}
