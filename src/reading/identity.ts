/** When two queries are one: an encoding in which only equal keys and options look the same. */
import { describe, InvalidArgumentError } from '../errors.js'
import { say } from '../messages.js'
import { isPlainPrototype } from '../events/json.js'
import { bytesOf, timeOf } from '../read-model/kinds.js'

/** Below this depth a key is refused: it may contain itself. */
const deepest = 100

/**
 * A text for a value, with its type: `1`, `'1'`, a Date, `[1]` and bytes look different, `-0` looks as `0`, the order of
 * properties does not count, and one that is `undefined` is left out.
 *
 * @throws InvalidArgumentError for what is not JSON, a Date or bytes, with its path
 */
export function identityOf(value: unknown, path = 'key', depth = 0): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value)
    case 'number':
      // `String(-0)` is '0'.
      return String(value)
    case 'boolean':
    case 'undefined':
      return String(value)
    default: {
      if (value === null) return 'null'
      const text = typeof value === 'object' && depth < deepest ? ofObject(value, path, depth + 1) : undefined
      if (text !== undefined) return text
      throw new InvalidArgumentError(
        path,
        say`is ${describe(value)}; a key consists of strings, numbers, booleans, Dates, bytes, lists and plain objects.`,
      )
    }
  }
}

function ofObject(value: object, path: string, depth: number): string | undefined {
  // With a loop, because `map` leaves out holes.
  if (Array.isArray(value))
    return `[${Array.from(value, (part, at) => identityOf(part, `${path}[${at}]`, depth)).join()}]`
  const time = timeOf(value)
  if (!Number.isNaN(time)) return `date ${time}`
  const bytes = bytesOf(value)
  if (bytes !== undefined) return `bytes ${bytes.join()};`
  if (!isPlainPrototype(Object.getPrototypeOf(value) as object | null)) return undefined
  const parts = Object.entries(value).filter(([, part]) => part !== undefined)
  parts.sort(([left], [right]) => (left < right ? -1 : 1))
  return `{${parts.map(([name, part]) => `${JSON.stringify(name)}:${identityOf(part, `${path}.${name}`, depth)}`).join()}}`
}
