/** Packs as records of an object store with keys of its own: each is stored under the first key that may be in it. */
import { StorageDamagedError } from '../../errors.js'
import { say } from '../../messages.js'
import { lastRecord } from '../../platform/backwards.js'
import { requested, requestedAll } from '../../platform/indexeddb.js'
import type { RowKey } from '../keys.js'
import { TablePacks } from './packs.js'

/** @throws StorageDamagedError for a record that tidemark did not write */
export function rowsIn(record: unknown, store: IDBObjectStore): readonly unknown[] {
  if (record === undefined) return []
  if (Array.isArray(record)) return record
  throw damaged(store, say`is not a list of rows`)
}

const damaged = (store: IDBObjectStore, what: string) =>
  new StorageDamagedError(say`A record of '${store.name}' ${what}: tidemark did not do this. Rebuild the projection.`)

/** @param there what {@link readRows} returned @throws StorageDamagedError if a pack was not where it is known to be */
export function assertThere(there: boolean, store: IDBObjectStore): void {
  if (!there) throw damaged(store, say`is missing`)
}

/** The rows of the pack that a key belongs to; of the last one without a key. */
export const packOf = async (store: IDBObjectStore, key?: unknown): Promise<readonly unknown[]> =>
  rowsIn(await lastRecord(store, key === undefined ? null : IDBKeyRange.upperBound(key)), store)

/** Where the packs of a table begin. */
export const readPacks = async (store: IDBObjectStore): Promise<TablePacks> =>
  new TablePacks((await requested(store.getAllKeys())) as RowKey[])

/**
 * Calls `each` with the rows of packs, those that are remembered first and the others as they come, so that not all of
 * them need be held; and with some that lie between. Asks in one turn and remembers nothing. Returns false if packs are
 * not where they were: what `each` got then means nothing.
 */
export async function readRows(
  store: IDBObjectStore,
  packs: TablePacks,
  firsts: Iterable<RowKey>,
  each: (first: RowKey, rows: readonly unknown[]) => void,
): Promise<boolean> {
  const missing: RowKey[] = []
  for (const first of firsts) {
    const rows = packs.rowsOf(first)
    if (rows === undefined) missing.push(first)
    else each(first, rows)
  }
  const there = await Promise.all(
    packs.runsOf(missing).map(async (run) => {
      const records = await requestedAll(store.getAll(IDBKeyRange.bound(run[0], run.at(-1))))
      if (records.length !== run.length) return false
      for (const [at, first] of run.entries()) {
        const rows = rowsIn(records[at], store)
        packs.saw(rows)
        each(first, rows)
      }
      return true
    }),
  )
  return !there.includes(false)
}
