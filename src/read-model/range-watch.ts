/** Notices ranges whose type fits no key, so that they select nothing, or everything: for the development build. */
import { say } from '../messages.js'
import { isObject } from '../platform/objects.js'
import { indexOptions } from './index-keys.js'
import type { IndexPaths } from './index-paths.js'
import { isIndexKey, type KeyPath, type KeyRange } from './keys.js'

/** The keys and indexes that were warned of. */
const warned = new Set<string>()

const isList = (key: unknown): key is readonly unknown[] => Array.isArray(key)

/** Of keys that are lists of `count` values. */
const fitsLists = (count: number, range: unknown): boolean => {
  if (isIndexKey(range)) return isList(range) && range.length === count
  const { lower, upper } = range as KeyRange
  return [lower, upper].every((bound) => bound === undefined || isList(bound))
}

/** Of keys that are no lists. A list as the upper bound comes after all of them, which may be meant. */
const fitsValues = (range: unknown): boolean =>
  isIndexKey(range) ? !isList(range) : !isList((range as KeyRange).lower)

/** Looks at the ranges of a query. Warns once for each key or index. */
export function lookAtRanges(
  table: string,
  index: string | undefined,
  { key, indexes = {} }: { readonly key: KeyPath; readonly indexes?: IndexPaths },
  ranges: readonly unknown[],
): void {
  const path = index === undefined ? key : indexOptions(indexes[index] ?? '').path
  // A property may hold a list, which is then its key in an index.
  if (!isList(path) && index !== undefined) return
  const fits = (range: unknown) =>
    !isObject(range) && !isIndexKey(range) ? true : isList(path) ? fitsLists(path.length, range) : fitsValues(range)
  const label = index === undefined ? say`the key of '${table}'` : say`index '${index}' of '${table}'`
  if (ranges.every(fits) || warned.has(label)) return
  warned.add(label)
  const problem = isList(path)
    ? say`its keys are lists of ${path.length} values (${path.join(', ')}), and a query has a single key that is not such a list, or a bound that is no list: every list comes after everything else, so that selects nothing, or all. For all keys that begin with 'a', pass { lower: ['a'], upper: ['a', []] }.`
    : say`its keys are no lists, and a query has a list as a single key or as its lower bound, which comes after every key, so that selects nothing. Pass the key itself.`
  if (__DEV__) console.warn(say`tidemark: ${label}: ${problem} Warned once for each key and index.`)
}
