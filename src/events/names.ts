/**
 * Which values may be names and ids. The functions for names return the name as it is stored, or throw
 * `InvalidNameError`.
 */
import { InvalidEventError, InvalidNameError } from '../errors.js'
import { say } from '../messages.js'

/** In UTF-16 code units: far below what any engine limits, and enough for a path of ids. */
const longest = 255
const longestTable = 100

/** Characters that would make a name look like a pattern. */
const globCharacter = /[*?[\]]/

// With the `u` flag a proper pair is one code point, so that only lone halves match.
const loneSurrogate = /\p{Surrogate}/u

/** The name of a stream: without spaces around it, and without the characters of patterns. */
export function streamName(value: unknown): string {
  const name = typeof value === 'string' ? value.trim() : value
  return checked(say`Stream name`, value, name, longest, globCharacter)
}

/** The name of a store, as given. */
export function storeName(value: unknown): string {
  return checked(say`Store name`, value, value, longest)
}

/** The name of a projection, as given. */
export function projectionName(value: unknown): string {
  return checked(say`Projection name`, value, value, longest)
}

/** The name of a table of a read model, as given; it may still be a reserved one. */
export function tableName(value: unknown): string {
  return checked(say`Table name`, value, value, longestTable)
}

/**
 * A prefix of stream names. Not trimmed, and it may be empty or end in half a character: it is compared
 * by UTF-16 code units.
 */
export function streamPrefix(value: unknown): string {
  const what = say`Stream prefix`
  if (typeof value !== 'string') throw new InvalidNameError(what, value, say`must be a string.`)
  if (value.length > longest) throw new InvalidNameError(what, value, say`must have at most ${longest} characters.`)
  if (globCharacter.test(value))
    throw new InvalidNameError(what, value, say`must not contain *, ?, [ or ]. Use 'streamPattern' for patterns.`)
  return value
}

/** The type of an event, as given. Any name is safe, also `__proto__`. */
export function eventType(value: unknown): string {
  return checked(say`Event type`, value, value, longest)
}

/** Whether it may be the id of an event. */
export const isEventId = (value: unknown): value is string =>
  typeof value === 'string' && value !== '' && value.length <= longest

/** @throws InvalidEventError under the path, for a value that cannot be the id of an event */
export function assertEventId(value: unknown, path: string): asserts value is string {
  if (!isEventId(value)) throw new InvalidEventError(path, say`must be a string of 1 to ${longest} characters.`)
}

function checked(what: string, given: unknown, name: unknown, most: number, forbidden?: RegExp): string {
  if (typeof name !== 'string') throw new InvalidNameError(what, given, say`must be a string.`)
  if (name === '') throw new InvalidNameError(what, given, say`must not be empty.`)
  if (name.length > most) throw new InvalidNameError(what, given, say`must have at most ${most} characters.`)
  if (forbidden?.test(name)) throw new InvalidNameError(what, given, say`must not contain *, ?, [ or ].`)
  if (loneSurrogate.test(name))
    throw new InvalidNameError(what, given, say`must be well-formed Unicode, without lone surrogates.`)
  return name
}

/**
 * The name of a store's database, or of a read model's within it. The store's own colons are escaped, so that no store
 * can have the name of another one's read model.
 */
export function databaseName(store: string, projectionKey?: string): string {
  const name = `tidemark:${store.replaceAll('%', '%25').replaceAll(':', '%3A')}`
  return projectionKey === undefined ? name : `${name}:${projectionKey}`
}

/** The name of the store whose log a database is; nothing for any other database. */
export function storeNameOf(database: string): string | undefined {
  const [, escaped] = /^tidemark:([^:]+)$/s.exec(database) ?? []
  return escaped?.replaceAll('%3A', ':').replaceAll('%25', '%')
}
