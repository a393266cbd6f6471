/** The key of a row. */
import { assertKey, type RowKey } from './keys.js'

/**
 * The key that a row has. What is inherited is not stored.
 *
 * @param what what messages call it
 * @throws InvalidArgumentError for a row without a proper key
 */
export function keyOfRow(name: string, row: object, what: string): RowKey {
  const key = Object.hasOwn(row, name) ? (row as Record<string, unknown>)[name] : undefined
  assertKey(key, what)
  return key
}
