/** Under which keys the indexes of a table have a row: what IndexedDB does with key paths, as a function. Pure. */
import type { IndexPaths } from './index-paths.js'
import { atKeyPath, isIndexKey, type IndexKey } from './keys.js'

/**
 * The keys of a row by the name of the index, as they are in the row; an index that lacks the row is not named. Several
 * keys only where the index has one for each entry of a list.
 */
export function indexKeysOf(
  { indexes = {} }: { readonly indexes?: IndexPaths },
  row: unknown,
): ReadonlyMap<string, readonly IndexKey[]> {
  const keys = new Map<string, readonly IndexKey[]>()
  for (const [index, path] of Object.entries(indexes)) {
    const key = atKeyPath(row, path)
    if (isIndexKey(key)) keys.set(index, [key as IndexKey])
  }
  return keys
}
