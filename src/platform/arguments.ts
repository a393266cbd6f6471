/** Checks of what an app passes, before anything is done with it. */
import { InvalidArgumentError } from '../errors.js'
import { say } from '../messages.js'
import { isObject } from './objects.js'

/**
 * Refuses an option bag that holds anything else than the named options: a misspelt one would otherwise be ignored, and
 * so widen what it should narrow. Without a bag there is nothing to check. What is not enumerable does not count: state
 * libraries keep their own notes there.
 *
 * @param what how the message calls the bag
 * @throws InvalidArgumentError that names the unknown option, and those that there are
 */
export function onlyKnown(options: unknown, names: readonly string[], what = 'options'): void {
  if (options === undefined) return
  if (!isObject(options) || Array.isArray(options)) {
    throw new InvalidArgumentError(what, say`must be an object. It may have ${names.join(', ')}.`)
  }
  for (const key of Reflect.ownKeys(options)) {
    if (!names.includes(key as string) && Object.prototype.propertyIsEnumerable.call(options, key))
      throw new InvalidArgumentError(what, say`has no property '${String(key)}'. It may have ${names.join(', ')}.`)
  }
}

/** @throws InvalidArgumentError for anything that is there and no AbortSignal, such as an AbortController */
export function assertSignal(signal: AbortSignal | null | undefined, what = 'signal'): void {
  if (signal !== undefined && signal !== null && (typeof signal !== 'object' || typeof signal.aborted !== 'boolean')) {
    throw new InvalidArgumentError(what, say`must be an AbortSignal.`)
  }
}

/** A position, version or count from outside. @throws InvalidArgumentError */
export function wholeNumber(value: unknown, argument: string, least = 0): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < least)
    throw new InvalidArgumentError(argument, say`must be a whole number of at least ${least}.`)
  // Not -0.
  return value + 0
}
