/** Names that the models of an app must not have, because the app has members of these names, or may get them. */
import { InvalidNameError } from '../errors.js'
import { say } from '../messages.js'

/** Names of members that an app may get. The development build refuses them, before there is code that uses such a name. */
const future = ['at', 'definition', 'events', 'name', 'persist', 'store', 'sync', 'undo', 'usage'] as const

/**
 * Names that a model of `tidemark()` must not have: an app has its models as properties, next to members of these
 * names. Names that begin with `$` are reserved as well.
 */
export type ReservedModelName =
  | (typeof future)[number]
  | 'append'
  | 'catchUp'
  | 'close'
  | 'execute'
  | 'follow'
  | 'head'
  | 'models'
  | 'observe'
  | 'read'
  | 'readStream'
  | 'ready'
  | 'reopen'
  | 'status'
  | 'then'

/** @throws InvalidNameError for the name of a member, of one that an app may get, and for one that begins with `$` */
export function assertModelName(name: string, members: object): void {
  // `await app` would call a model that is called `then`.
  const names = [...Object.keys(members), 'then', ...(__DEV__ ? future : [])]
  if (name === '' || name.startsWith('$') || names.includes(name))
    throw new InvalidNameError(
      'Model name',
      name,
      say`must not begin with '$', nor be one of ${names.join(', ')}: an app has members of these names, or may get them.`,
    )
}
