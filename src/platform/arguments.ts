/** What every function that takes options checks of them first. */
import { InvalidArgumentError } from '../errors.js'

/**
 * Refuses options that there are not: a misspelt one would otherwise be left out without a word.
 *
 * @throws InvalidArgumentError under the name `what`
 */
export function onlyKnown(options: unknown, names: readonly string[], what: string): void {
  if (typeof options !== 'object' || options === null) throw new InvalidArgumentError(what, 'must be an object.')
  const odd = Reflect.ownKeys(options).find((key) => !names.includes(key as string))
  if (odd !== undefined) throw new InvalidArgumentError(what, `has no property '${String(odd)}'. It may have ${names.join(', ')}.`)
}
