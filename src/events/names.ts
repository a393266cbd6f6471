/** What may be a name or an id. Functions of names answer the name as it is stored, or throw `InvalidNameError`. */
import { InvalidEventError, InvalidNameError } from '../errors.js'

/** In UTF-16 code units: far below what any engine limits, and enough for a path of ids. */
const longest = 255
const longestTable = 100

/** They would make a name read like a pattern. */
const globCharacter = /[*?[\]]/

// With the `u` flag a proper pair is one code point, so that only lone halves match.
const loneSurrogate = /\p{Surrogate}/u

/** The name of a stream: without spaces around it, and without the characters of patterns (V1, V2, V20). */
export function streamName(value: unknown): string {
  const name = typeof value === 'string' ? value.trim() : value
  return checked('Stream name', value, name, longest, globCharacter)
}

/** The name of a store, as given. */
export function storeName(value: unknown): string {
  return checked('Store name', value, value, longest)
}

/** The name of a projection, as given. */
export function projectionName(value: unknown): string {
  return checked('Projection name', value, value, longest)
}

/** The name of a table of a read model, as given; it may still be a reserved one. */
export function tableName(value: unknown): string {
  return checked('Table name', value, value, longestTable)
}

/**
 * What stream names are to start with. Not trimmed, and it may be empty or end in half a character: it is compared
 * by UTF-16 code units (V3, N9).
 */
export function streamPrefix(value: unknown): string {
  const what = 'Stream prefix'
  if (typeof value !== 'string') throw new InvalidNameError(what, value, 'must be a string.')
  if (value.length > longest) throw new InvalidNameError(what, value, `must have at most ${longest} characters.`)
  if (globCharacter.test(value))
    throw new InvalidNameError(what, value, "must not contain *, ?, [ or ]. Use 'streamPattern' for patterns.")
  return value
}

/** The type of an event, as given. Any name is safe, `__proto__` too (H48). */
export function eventType(value: unknown): string {
  return checked('Event type', value, value, longest)
}

/** Whether it may be the id of an event. */
export const isEventId = (value: unknown): value is string =>
  typeof value === 'string' && value !== '' && value.length <= longest

/** @throws InvalidEventError under the path, for what may not be the id of an event */
export function assertEventId(value: unknown, path: string): asserts value is string {
  if (!isEventId(value)) throw new InvalidEventError(path, `must be a string of 1 to ${longest} characters.`)
}

function checked(what: string, given: unknown, name: unknown, most: number, forbidden?: RegExp): string {
  if (typeof name !== 'string') throw new InvalidNameError(what, given, 'must be a string.')
  if (name === '') throw new InvalidNameError(what, given, 'must not be empty.')
  if (name.length > most) throw new InvalidNameError(what, given, `must have at most ${most} characters.`)
  if (forbidden?.test(name)) throw new InvalidNameError(what, given, 'must not contain *, ?, [ or ].')
  if (loneSurrogate.test(name))
    throw new InvalidNameError(what, given, 'must be well-formed Unicode, without lone surrogates.')
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
