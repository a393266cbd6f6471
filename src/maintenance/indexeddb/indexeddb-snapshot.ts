/** Reads all of a read model in one transaction, from a database that may be damaged. */
import { describe, describeKey } from '../../errors.js'
import { say } from '../../messages.js'
import { databaseName } from '../../events/names.js'
import { requested } from '../../platform/indexeddb.js'
import { projectionKey, type Projection } from '../../read-model/define.js'
import { lookInto } from '../../read-model/indexeddb/existing.js'
import {
  everything,
  isPacked,
  letterStore,
  missingParts,
  rowStore,
  stateStore,
} from '../../read-model/indexeddb/layout.js'
import { keyIn } from '../../read-model/indexeddb/packs.js'
import { compareKeys, isIndexKey, type KeyPath } from '../../read-model/keys.js'
import type { Snapshot } from '../snapshot.js'
import { isObject } from '../../platform/objects.js'

/** Returns `undefined` if there is no such database. */
export async function snapshotOfDatabase(storeName: string, definition: Projection): Promise<Snapshot | undefined> {
  const key = projectionKey(definition)
  return lookInto(databaseName(storeName, key), say`The read model '${key}'`, async (connection, database) => {
    const missing = missingParts(database, definition.tables)
    const names = database.objectStoreNames
    const stores = [stateStore, ...everything(definition.tables)].filter((name) => names.contains(name))
    if (stores.length === 0)
      return { missing, misplaced: [], packed: [], state: undefined, rows: new Map(), letters: [] }
    return connection.transact(
      { stores, mode: 'readonly', turns: 'several', what: say`verifying '${key}'` },
      async (transaction) => ({ missing, ...(await readAll(transaction, definition)) }),
    )
  })
}

/** What a transaction over all object stores that exist finds. */
async function readAll(transaction: IDBTransaction, { tables }: Projection): Promise<Omit<Snapshot, 'missing'>> {
  const storeOf = (name: string) =>
    transaction.objectStoreNames.contains(name) ? transaction.objectStore(name) : undefined
  const states = storeOf(stateStore)
  const state: unknown = states && (await requested<unknown>(states.get('state')))
  const shown = (state as { shown?: unknown } | undefined)?.shown === 1 ? 1 : 0
  const letterRows = storeOf(letterStore(shown))
  const letters = letterRows === undefined ? [] : await requested<unknown[]>(letterRows.getAll())
  const rows = new Map<string, unknown[]>()
  const packed: string[] = []
  const misplaced: { table: string; message: string }[] = []
  for (const [table, { key }] of Object.entries(tables)) {
    const store = storeOf(rowStore(shown, table))
    if (store === undefined) continue
    const records = await requested<unknown[]>(store.getAll())
    if (isPacked(store)) {
      packed.push(table)
      const complain = (message: string) => void misplaced.push({ table, message: say`Table '${table}' ${message}` })
      rows.set(table, unpack(await requested(store.getAllKeys()), records, key, complain))
    } else rows.set(table, records)
  }
  return { misplaced, packed, state, rows, letters }
}

/** The rows of packs, without those that no read would find where they are. */
function unpack(
  firsts: readonly unknown[],
  records: readonly unknown[],
  keyName: KeyPath,
  complain: (message: string) => void,
): unknown[] {
  const rows: unknown[] = []
  for (const [at, record] of records.entries()) {
    if (!Array.isArray(record)) {
      complain(say`has the record ${describe(firsts[at])}, which is not a list of rows.`)
      continue
    }
    let least = firsts[at]
    for (const [place, row] of (record as unknown[]).entries()) {
      const key = isObject(row) ? keyIn(row, keyName) : undefined
      const next = firsts[at + 1]
      const order = isIndexKey(key) ? compareKeys(key, least) : -1
      if (order < 0 || (order === 0 && place > 0) || (next !== undefined && compareKeys(key, next) >= 0)) {
        complain(say`has the row ${describeKey(key)} in a place where no read looks for it.`)
        continue
      }
      least = key as unknown
      rows.push(row)
    }
  }
  return rows
}
