/** Checking what apps pass in. */
import { InvalidArgumentError, describe } from '../errors.js'

/**
 * A misspelt option would otherwise widen what it should narrow.
 *
 * @throws InvalidArgumentError for what is not an object, and for a property that is not one of `names`
 */
export function onlyKnown(options: unknown, names: readonly string[], what: string): void {
  if (typeof options !== 'object' || options === null) throw new InvalidArgumentError(what, `is ${describe(options)}; it must be an object.`)
  const odd = Reflect.ownKeys(options).find((name) => !names.includes(name as string))
  if (odd !== undefined) throw new InvalidArgumentError(what, `has no property '${String(odd)}'. It may have ${names.join(', ')}.`)
}
