/** A read model as it is stored at one moment, whatever is wrong with it: for looking at, and nothing is changed or made. */
import { describe } from '../errors.js'
import { say } from '../messages.js'
import { databaseName } from '../events/names.js'
import type { StoreInternals } from '../log/open.js'
import { Connection } from '../platform/connection.js'
import { requested } from '../platform/indexeddb.js'
import { memoryReadModels } from '../running/attach.js'
import { projectionKey, type Projection } from '../read-model/define.js'
import { compareKeys, isIndexKey } from '../read-model/keys.js'
import { letterStore, missingParts, rowStore, slots, stateStore } from '../read-model/indexeddb/layout.js'
import { isPacked } from '../read-model/indexeddb/packed-rows.js'
import { keyIn } from '../read-model/indexeddb/packs.js'

/** What readers see of a read model, of one moment. Anybody may have edited it. */
export interface Snapshot {
  /** Object stores and indexes that are not there. */
  readonly missing: readonly string[]
  /** What is wrong with the packs of its tables. */
  readonly misplaced: readonly { readonly table: string; readonly message: string }[]
  /** The tables whose rows lie in packs. */
  readonly packed: readonly string[]
  readonly state: unknown
  /** By table; a table whose object store is missing is not in it. */
  readonly rows: ReadonlyMap<string, readonly unknown[]>
  readonly letters: readonly unknown[]
}

/** Answers `undefined` if there is no such read model (yet). */
export async function takeSnapshot(
  storeName: string,
  parts: StoreInternals,
  definition: Projection,
): Promise<Snapshot | undefined> {
  if (parts.medium === 'indexeddb') return ofDatabase(storeName, definition)
  const stored = memoryReadModels(parts).stored(projectionKey(definition))
  if (stored === undefined) return undefined
  // As a database would give them; and nobody may change them while they are looked at.
  const rows = Object.keys(definition.tables).map(
    (name) => [name, (stored.rows.get(name) ?? []).map((row) => structuredClone(row))] as const,
  )
  return { missing: [], misplaced: [], packed: [], state: stored.state, letters: stored.letters, rows: new Map(rows) }
}

async function ofDatabase(storeName: string, definition: Projection): Promise<Snapshot | undefined> {
  const key = projectionKey(definition)
  const tables = Object.keys(definition.tables)
  let absent = false
  let missing: readonly string[] = []
  let there: readonly string[] = []
  const connection = new Connection({
    name: databaseName(storeName, key),
    version: 1,
    label: say`The read model '${key}'`,
    upgrade: (_database, transaction) => {
      absent = true
      transaction.abort()
    },
    verify: async (database) => {
      absent = false
      missing = missingParts(database, definition.tables)
      there = [...database.objectStoreNames]
    },
  })
  try {
    await connection.open()
    const stores = [
      stateStore,
      ...slots.flatMap((slot) => [...tables.map((table) => rowStore(slot, table)), letterStore(slot)]),
    ].filter((name) => there.includes(name))
    if (stores.length === 0)
      return { missing, misplaced: [], packed: [], state: undefined, rows: new Map(), letters: [] }
    return await connection.transact(
      { stores, mode: 'readonly', turns: 'several', what: say`verifying '${key}'` },
      async (transaction) => {
        const all = (name: string): Promise<unknown[]> => requested(transaction.objectStore(name).getAll())
        const state: unknown = there.includes(stateStore)
          ? await requested(transaction.objectStore(stateStore).get('state'))
          : undefined
        const shown = (state as { shown?: unknown } | undefined)?.shown === 1 ? 1 : 0
        const seen = tables.filter((table) => there.includes(rowStore(shown, table)))
        const misplaced: { table: string; message: string }[] = []
        const rowsOf = async (table: string) => {
          const store = transaction.objectStore(rowStore(shown, table))
          const records = await requested(store.getAll())
          if (!isPacked(store)) return records as unknown[]
          return unpack(await requested(store.getAllKeys()), records, definition.tables[table]?.key ?? '', (message) =>
            misplaced.push({ table, message: say`Table '${table}' ${message}` }),
          )
        }
        const [letters, ...rows] = await Promise.all([
          there.includes(letterStore(shown)) ? all(letterStore(shown)) : [],
          ...seen.map(rowsOf),
        ])
        const packed = seen.filter((table) => isPacked(transaction.objectStore(rowStore(shown, table))))
        return {
          missing,
          misplaced,
          packed,
          state,
          rows: new Map(seen.map((table, at) => [table, rows[at] ?? []])),
          letters,
        }
      },
    )
  } catch (error) {
    if (absent) return undefined
    throw error
  } finally {
    connection.close()
  }
}

/** The rows of packs, those left out that nobody finds where they are. */
function unpack(
  firsts: readonly unknown[],
  records: readonly unknown[],
  keyName: string,
  complain: (message: string) => void,
): unknown[] {
  const rows: unknown[] = []
  for (const [at, record] of records.entries()) {
    if (!Array.isArray(record)) {
      complain(say`has the record ${describe(firsts[at])}, which is no list of rows.`)
      continue
    }
    let least = firsts[at]
    for (const [place, row] of (record as unknown[]).entries()) {
      const key = typeof row === 'object' && row !== null ? keyIn(row, keyName) : undefined
      const next = firsts[at + 1]
      const order = isIndexKey(key) ? compareKeys(key, least) : -1
      if (order < 0 || (order === 0 && place > 0) || (next !== undefined && compareKeys(key, next) >= 0)) {
        complain(say`has the row ${describe(key)} in a place where nobody looks for it.`)
        continue
      }
      least = key as unknown
      rows.push(row)
    }
  }
  return rows
}
