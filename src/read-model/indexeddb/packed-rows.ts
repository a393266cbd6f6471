/** Packs in IndexedDB: an object store with keys of its own, each the first that may be in its pack. */
import { StorageDamagedError } from '../../errors.js'
import { say } from '../../messages.js'
import { lastRecord, readBackwards } from '../../platform/backwards.js'
import { requested, requestedAll } from '../../platform/indexeddb.js'
import { compareKeys, inRange, nativeRange, type KeyRange, type RowKey } from '../keys.js'
import { keyIn, rowIn, TablePacks } from './packs.js'
import type { Query, Selection } from '../storage.js'

/** Tables whose rows are records of their own have a key path. */
export const isPacked = (store: IDBObjectStore): boolean => store.keyPath === null

/** @throws StorageDamagedError for a record that something else wrote */
export function rowsOf(record: unknown, store: IDBObjectStore): readonly unknown[] {
  if (record === undefined) return []
  if (Array.isArray(record)) return record
  throw damaged(store, say`is no list of rows`)
}

const damaged = (store: IDBObjectStore, what: string) =>
  new StorageDamagedError(say`A record of '${store.name}' ${what}: something else wrote it. Rebuild the projection.`)

/** @throws StorageDamagedError if a pack was not where it is known to be; see {@link readRows} */
export function assertThere(there: boolean, store: IDBObjectStore): void {
  if (!there) throw damaged(store, say`is gone`)
}

/** The rows of the pack that a key belongs to. In one turn. */
async function packOf(store: IDBObjectStore, key: unknown): Promise<readonly unknown[]> {
  return rowsOf(await lastRecord(store, IDBKeyRange.upperBound(key)), store)
}

/** One row. In one turn. */
export const packedRow = async (store: IDBObjectStore, keyName: string, key: unknown): Promise<unknown> =>
  rowIn(await packOf(store, key), keyName, key)

/** The last key of all, if there is any row. In one turn. */
export async function lastPackedKey(store: IDBObjectStore, keyName: string): Promise<RowKey | undefined> {
  const rows = rowsOf(await lastRecord(store), store)
  return rows.length === 0 ? undefined : (keyIn(rows.at(-1), keyName) as RowKey)
}

/** Answers a question about a table. */
export async function askPacked(store: IDBObjectStore, keyName: string, query: Query): Promise<unknown> {
  if (query.kind === 'get') return packedRow(store, keyName, query.key)
  const { direction, limit = Infinity } = query.options
  const backwards = direction === 'prev'
  if (query.kind === 'count') return countRows(store, keyName, query.options)
  if (limit === Infinity) {
    const rows = await allRows(store, keyName, query.options)
    return backwards ? rows.reverse() : rows
  }
  return backwards ? lastRows(store, keyName, query.options, limit) : firstRows(store, keyName, query.options, limit)
}

/** No more packs than these are taken out of one answer, where not all rows are wanted at once: it is one task of the page. */
const packsPerAnswer = 256

const within = (rows: readonly unknown[], keyName: string, range: KeyRange): unknown[] =>
  rows.filter((row) => inRange(keyIn(row, keyName), range))

/** The rows of a range. In one turn. */
async function allRows(store: IDBObjectStore, keyName: string, { range = {} }: Selection): Promise<unknown[]> {
  const { before, span } = spanOf(range)
  const [first, rest] = await Promise.all([
    before === undefined ? [] : packOf(store, before),
    span === undefined ? [] : requestedAll(store.getAll(span)),
  ])
  return within([first, ...rest.map((record) => rowsOf(record, store))].flat(), keyName, range)
}

/** The packs of a range: the one that its lower end belongs to, and those that begin after that. */
function spanOf({ lower, upper, upperOpen = false }: KeyRange): {
  readonly before?: unknown
  readonly span?: IDBKeyRange | null
} {
  if (lower === undefined) return { span: nativeRange({ upper, upperOpen }) }
  if (upper !== undefined && compareKeys(lower, upper) === 0) return { before: lower }
  return {
    before: lower,
    span: upper === undefined ? IDBKeyRange.lowerBound(lower, true) : IDBKeyRange.bound(lower, upper, true, upperOpen),
  }
}

async function firstRows(
  store: IDBObjectStore,
  keyName: string,
  options: Selection,
  limit: number,
): Promise<unknown[]> {
  const rows: unknown[] = []
  // A guess: most packs are full by half.
  await inOrder(store, keyName, options, Math.ceil(limit / 32) + 1, (found) => {
    for (const row of found) rows.push(row)
    return rows.length < limit
  })
  return rows.slice(0, limit)
}

async function countRows(store: IDBObjectStore, keyName: string, options: Selection): Promise<number> {
  let count = 0
  await inOrder(store, keyName, options, 16, (found) => {
    count += found.length
    return true
  })
  return count
}

/** Hands over the rows of a range in order, those of a few packs at a time, as long as `take` wants more. */
async function inOrder(
  store: IDBObjectStore,
  keyName: string,
  { range = {} }: Selection,
  packs: number,
  take: (rows: readonly unknown[]) => boolean,
): Promise<void> {
  const { upper, upperOpen = false } = range
  for (let { before, span } = spanOf(range); ; packs = Math.min(2 * packs, packsPerAnswer)) {
    const [first, rest] = await Promise.all([
      before === undefined ? [] : packOf(store, before),
      span === undefined ? [] : requestedAll(store.getAll(span, packs)),
    ])
    const found = [first, ...rest.map((record) => rowsOf(record, store))].flat()
    const last = found.length === 0 ? undefined : keyIn(found.at(-1), keyName)
    const isEnd =
      span === undefined ||
      rest.length < packs ||
      last === undefined ||
      (upper !== undefined && compareKeys(last, upper) >= 0)
    if (!take(within(found, keyName, range)) || isEnd) return
    // The next pack begins after the last row of this one.
    ;({ before, span } = { before: undefined, span: spanOf({ lower: last, upper, upperOpen }).span })
  }
}

async function lastRows(
  store: IDBObjectStore,
  keyName: string,
  { range = {} }: Selection,
  limit: number,
): Promise<unknown[]> {
  const { lower, upper, upperOpen = false } = range
  const span = nativeRange({ upper, upperOpen })
  // The same guess. Where it was too low, reading them again is as quick as finding out where to go on.
  for (let packs = Math.ceil(limit / 32) + 1; ; packs *= 2) {
    const found = (await readBackwards(store, span, packs)).map((record) => rowsOf(record, store))
    const rows = found.flatMap((pack) => within(pack, keyName, range).reverse())
    const first = found.at(-1)?.[0]
    const isEnd =
      found.length < packs ||
      (lower !== undefined && first !== undefined && compareKeys(keyIn(first, keyName), lower) < 0)
    if (isEnd || rows.length >= limit) return rows.slice(0, limit)
  }
}

/** Where the packs of a table begin. */
export const readPacks = async (store: IDBObjectStore): Promise<TablePacks> =>
  new TablePacks((await requested(store.getAllKeys())) as RowKey[])

/**
 * Hands over the rows of packs, of memory where they are remembered and otherwise as they come, so that not all of them need be
 * held; also those of some that lie between. In one turn; remembers nothing. Answers false if packs are not where they were: then what was handed over says nothing.
 */
export async function readRows(
  store: IDBObjectStore,
  packs: TablePacks,
  firsts: Iterable<RowKey | undefined>,
  each: (first: RowKey, rows: readonly unknown[]) => void,
): Promise<boolean> {
  const missing: RowKey[] = []
  for (const first of new Set(firsts)) {
    if (first === undefined) continue
    const rows = packs.rowsOf(first)
    if (rows === undefined) missing.push(first)
    else each(first, rows)
  }
  const there = await Promise.all(
    packs.runsOf(missing).map(async (run) => {
      const records = await requestedAll(store.getAll(IDBKeyRange.bound(run[0], run.at(-1))))
      if (records.length !== run.length) return false
      for (const [at, first] of run.entries()) {
        const rows = rowsOf(records[at], store)
        packs.saw(rows)
        each(first, rows)
      }
      return true
    }),
  )
  return !there.includes(false)
}
