/** The rows that a selection finds where each row is a record. */
import { readBackwards } from '../../platform/backwards.js'
import { requested, requestedAll } from '../../platform/indexeddb.js'
import { indexOptions } from '../index-keys.js'
import { compareKeys, inRange, keyOfRow, mapKeyOf, type KeyRange, type MapKey, type RowKey } from '../keys.js'
import { placeOfRow, rangesBehind, rangesOf, type Place, type Selectable, type Selection } from '../selection.js'
import { nativeRange } from './native-range.js'

type Source = IDBObjectStore | IDBIndex

/** Whether an index has an entry for each item of a list, so that it may have one row several times. */
export const hasEntries = ({ indexes = {} }: Pick<Selectable, 'indexes'> = {}, index?: string): boolean =>
  index !== undefined && indexOptions(indexes[index] ?? '').multiEntry === true

const sourceOf = (store: IDBObjectStore, { index }: Selection): Source =>
  index === undefined ? store : store.index(index)

/** Rows of one range after the other, until there are enough; without a limit all of them in one turn. */
export async function ofRanges(
  selection: Selection,
  read: (range: KeyRange, limit: number) => Promise<unknown[]>,
): Promise<unknown[]> {
  const { limit = Infinity } = selection
  const ranges = rangesOf(selection)
  if (ranges.length === 1) return read(ranges[0] as KeyRange, limit)
  if (limit === Infinity) return (await Promise.all(ranges.map((range) => read(range, limit)))).flat()
  let rows: unknown[] = []
  for (const range of ranges) {
    if (rows.length >= limit) break
    rows = rows.concat(await read(range, limit - rows.length))
  }
  return rows
}

/** In one turn, where neither `after` nor an index with entries is limited: see `needsSeveralTurns`. */
export function readRecords(store: IDBObjectStore, table: Selectable, selection: Selection): Promise<unknown[]> {
  const { direction, index, after } = selection
  const source = sourceOf(store, selection)
  const read = (range: KeyRange, limit: number) =>
    direction === 'prev'
      ? readBackwards(source, nativeRange(range), limit)
      : requestedAll<unknown>(source.getAll(nativeRange(range), limit === Infinity ? undefined : limit))
  return after === undefined && !hasEntries(table, index)
    ? ofRanges(selection, read)
    : pageOf(source as IDBIndex, table, selection, read)
}

/** How many rows there are, each counted once. */
export async function countRecords(store: IDBObjectStore, table: Selectable, selection: Selection): Promise<number> {
  const source = sourceOf(store, selection)
  const ranges = rangesOf(selection)
  const [{ lower, upper } = {}] = ranges
  const isOneKey = ranges.length === 1 && lower !== undefined && upper !== undefined && compareKeys(lower, upper) === 0
  if (!isOneKey && hasEntries(table, selection.index)) {
    const keys = await Promise.all(ranges.map((range) => requestedAll(source.getAllKeys(nativeRange(range)))))
    return new Set(keys.flat().map((key) => mapKeyOf(key as RowKey))).size
  }
  const counts = await Promise.all(ranges.map((range) => requested(source.count(nativeRange(range) ?? undefined))))
  return counts.reduce((sum, count) => sum + count, 0)
}

/** Rows behind a place, and each once: an index with entries may return one for several of them. */
async function pageOf(
  source: IDBIndex,
  table: Selectable,
  selection: Selection,
  read: (range: KeyRange, limit: number) => Promise<unknown[]>,
): Promise<unknown[]> {
  const { limit = Infinity, after, index } = selection
  const found: unknown[] = []
  const isMulti = hasEntries(table, index)
  const seen = new Set<MapKey>()
  /** Takes what belongs to the page. Returns whether it is full. */
  const take = (rows: readonly unknown[]): boolean => {
    for (const row of rows) {
      if (found.length >= limit) break
      if (isMulti) {
        const key = keyOfRow(table.key, row as object, '')
        // One that an entry before the page has was on an earlier one.
        if (seen.has(mapKeyOf(key)) || placeOfRow(selection, table, key, row) === undefined) continue
        seen.add(mapKeyOf(key))
      }
      found.push(row)
    }
    return found.length >= limit
  }
  if (after === undefined && limit === Infinity) {
    take((await Promise.all(rangesOf(selection).map((range) => read(range, limit)))).flat())
    return found
  }
  if (after !== undefined && rangesOf(selection).some((range) => inRange(after.at, range)))
    await equalOnes(source, after, selection.direction, (row) => take([row]))
  for (const range of after === undefined ? rangesOf(selection) : rangesBehind(selection, after.at)) {
    // If entries of one row came several times, reading them again is as quick as finding out where to continue.
    for (let most = limit - found.length; found.length < limit; most *= 2) {
      const rows = await read(range, most)
      if (take(rows) || rows.length < most) break
    }
  }
  return found
}

/** The rows with the same key in an index as a place and behind it, until `take` says that it has enough. */
function equalOnes(
  source: IDBIndex,
  { at, key }: Place,
  direction: IDBCursorDirection | undefined,
  take: (row: unknown) => boolean,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = source.openCursor(at as IDBValidKey, direction)
    request.onerror = () => reject(request.error)
    request.onsuccess = () => {
      const cursor = request.result
      try {
        if (cursor === null) return resolve()
        const order = compareKeys(cursor.primaryKey, key) * (direction === 'prev' ? -1 : 1)
        if (order < 0) cursor.continuePrimaryKey(at as IDBValidKey, key as IDBValidKey)
        else if (order > 0 && take(cursor.value)) resolve()
        else cursor.continue()
      } catch (error) {
        reject(error)
      }
    }
  })
}
