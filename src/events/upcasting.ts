/** Stored data of older versions becomes data of the version that this build knows. */
import { EventUnreadableError, messageOf } from '../errors.js'
import { say } from '../messages.js'
import { isRefusedPromise } from '../platform/promises.js'
import type { KnownType, StoredData } from './definition.js'

/** @throws EventUnreadableError if an upcaster throws, is asynchronous or returns undefined */
export function upcastFrom(
  known: KnownType,
  type: string,
  storedVersion: number,
  data: unknown,
  position: number,
): unknown {
  let value = data
  for (let from = storedVersion; from < known.version; from += 1) {
    const name = say`the upcaster of '${type}' from version ${from}`
    const upcast = known.upcasters[from - 1]
    if (upcast === undefined) throw new EventUnreadableError(position, say`${name} is missing.`)
    try {
      value = upcast(value as StoredData)
    } catch (cause) {
      throw new EventUnreadableError(position, say`${name} threw an error (${messageOf(cause)}).`, cause)
    }
    // Upcasters run during reads, which cannot wait for each event; undefined is most often a forgotten return.
    if (value === undefined) throw new EventUnreadableError(position, say`${name} returned undefined.`)
    if (isRefusedPromise(value)) throw new EventUnreadableError(position, say`${name} is asynchronous.`)
  }
  return value
}

/** An event of a newer version than this build knows. */
export function newerThanKnown(type: string, stored: number, known: number, position: number): EventUnreadableError {
  return new EventUnreadableError(
    position,
    say`it has version ${stored} of '${type}', and this build knows versions up to ${known}. A newer build wrote it: reload the page.`,
    undefined,
    true,
  )
}
