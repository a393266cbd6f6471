/** Under which keys the indexes of a table have a row: what IndexedDB does with key paths, as a function. Pure. */
import type { IndexDefinition, IndexPaths } from './index-paths.js'
import { atKeyPath, compareKeys, isIndexKey, type IndexKey } from './keys.js'

/** The same options, whichever way an index is declared. */
export const indexOptions = (index: IndexDefinition): Extract<IndexDefinition, { readonly path: unknown }> =>
  typeof index === 'object' && 'path' in index ? index : { path: index as string | readonly string[] }

/** The keys of a row in one index, as they are in the row; none if the index lacks the row. */
export function keysIn(index: IndexDefinition, row: unknown): readonly IndexKey[] {
  const { path, multiEntry = false } = indexOptions(index)
  const key = atKeyPath(row, path)
  if (!multiEntry || !Array.isArray(key)) return isIndexKey(key) ? [key as IndexKey] : []
  // Items that are no keys are passed by, and of equal ones there is one.
  const keys: IndexKey[] = []
  for (const one of (key as unknown[]).filter((part) => isIndexKey(part)).sort(compareKeys))
    if (keys.length === 0 || compareKeys(keys.at(-1), one) !== 0) keys.push(one as IndexKey)
  return keys
}

/**
 * The keys of a row by the name of the index; an index that lacks the row is not named. Several keys only where the
 * index has one for each item of a list: then in their order, each once.
 */
export function indexKeysOf(
  { indexes = {} }: { readonly indexes?: IndexPaths },
  row: unknown,
): ReadonlyMap<string, readonly IndexKey[]> {
  const keys = new Map<string, readonly IndexKey[]>()
  for (const [index, declared] of Object.entries(indexes)) {
    const found = keysIn(declared, row)
    if (found.length > 0) keys.set(index, found)
  }
  return keys
}
