/** Rows in memory, with IndexedDB's order and ranges. For Node, edge runtimes and tests. */
import { ClosedError } from '../errors.js'
import type { DeadLetterRecord } from '../projection/target.js'
import { atKeyPath, compareKeys, inRange, isKey, mapKey, type MapKey } from './keys.js'
import {
  assertFingerprint, begun, changeOf, checkedQuery, committed, createListeners, letterReplayed, newMeta, rebuildStarted, standingOf, stateOf,
  type Meta, type ReadModelStorage, type RowChange, type RowQuery, type Slot, type StorageShape,
} from './storage.js'

interface StoredRow {
  readonly key: IDBValidKey
  readonly row: object
}

interface Entry extends StoredRow {
  /** What the rows are ordered by: their own key, or the index's. */
  readonly by: IDBValidKey
}

class MemoryTable {
  readonly rows = new Map<MapKey, StoredRow>()
  /** By index name, `''` for the key; made when asked for, dropped with the next change. */
  readonly sorted = new Map<string, readonly Entry[]>()
}

interface Shared {
  meta: Meta
  readonly slots: Record<Slot, Map<string, MemoryTable>>
  readonly letters: Record<Slot, Map<number, DeadLetterRecord>>
  readonly listeners: ReturnType<typeof createListeners>
}

/** The read models of one memory store. Storages of the same projection share their rows, so that runners compete as on IndexedDB. */
export interface MemoryReadModels {
  /** A storage over the shared rows of `shape.key`. */
  open(shape: StorageShape): ReadModelStorage
}

/** The read models of one memory store, empty. */
export function memoryReadModels(): MemoryReadModels {
  const shared = new Map<string, Shared>()
  return {
    open(shape) {
      let own = shared.get(shape.key)
      if (own === undefined) {
        own = {
          meta: newMeta(shape.fingerprint),
          slots: { a: new Map(), b: new Map() },
          letters: { a: new Map(), b: new Map() },
          listeners: createListeners(),
        }
        shared.set(shape.key, own)
      }
      return memoryStorage(shape, own)
    },
  }
}

function memoryStorage(shape: StorageShape, shared: Shared): ReadModelStorage {
  let closed = false
  const stops = new Set<() => void>()
  const tables = Object.keys(shape.tables)
  const tell = shared.listeners.tell

  // The whole of a method runs in one turn, which makes it a transaction.
  const meta = (): Meta => {
    if (closed) throw new ClosedError(`The read model '${shape.key}'`)
    assertFingerprint(shared.meta, shape)
    return shared.meta
  }
  const tableOf = (slot: Slot, name: string): MemoryTable => {
    let table = shared.slots[slot].get(name)
    if (table === undefined) shared.slots[slot].set(name, (table = new MemoryTable()))
    return table
  }
  const clear = (slots: readonly Slot[]) => {
    for (const slot of slots) {
      shared.slots[slot].clear()
      shared.letters[slot].clear()
    }
  }
  /** Copies first: a row that cannot be copied must leave everything as it was. */
  const copied = (rows: ReadonlyMap<string, readonly RowChange[]>) =>
    [...rows].map(([table, changes]) => ({ table, changes: changes.map(({ key, row }) => ({ key, row: row === undefined ? undefined : structuredClone(row) })) }))
  const write = (slot: Slot, changed: ReturnType<typeof copied>) => {
    for (const { table, changes } of changed) {
      const { rows, sorted } = tableOf(slot, table)
      if (changes.length > 0) sorted.clear()
      for (const { key, row } of changes) {
        if (row === undefined) rows.delete(mapKey(key))
        else rows.set(mapKey(key), { key, row })
      }
    }
  }
  const entries = (table: string, query: RowQuery): readonly Entry[] => {
    const { rows, sorted } = tableOf(shared.meta.active, table)
    const { index = '', range } = query
    let all = sorted.get(index)
    if (all === undefined) {
      const path = shape.tables[table]?.indexes[index]
      const made: Entry[] = []
      for (const { key, row } of rows.values()) {
        const by = path === undefined ? key : atKeyPath(row, path)
        if (isKey(by)) made.push({ key, row, by })
      }
      made.sort((a, b) => compareKeys(a.by, b.by) || compareKeys(a.key, b.key))
      sorted.set(index, (all = made))
    }
    return range === undefined ? all : all.filter(({ by }) => inRange(by, range))
  }

  return {
    shape,
    state: async () => stateOf(meta()),
    standing: async (active) => standingOf(meta(), active),
    async begin(owner, log) {
      const next = begun(meta(), owner, log)
      shared.meta = next.meta
      clear(next.clear)
      if (next.clear.length > 0) tell({ position: 0, tables })
      return standingOf(next.meta)
    },
    async getMany(slot, wanted) {
      meta()
      const found = new Map<string, (object | undefined)[]>()
      for (const [table, keys] of wanted) found.set(table, keys.map((key) => structuredClone(tableOf(slot, table).rows.get(mapKey(key))?.row)))
      return found
    },
    async commit(commit) {
      const next = committed(meta(), commit, shape.name)
      const rows = copied(commit.rows)
      const building = shared.meta.build !== undefined
      shared.meta = next.meta
      write(commit.slot, rows)
      for (const letter of commit.letters) shared.letters[commit.slot].set(letter.position, letter)
      clear(next.clear)
      const { position, paused } = next.meta
      tell(next.clear.length > 0 ? { position, tables } : building ? { position, tables: [] } : changeOf(position, commit.rows))
      return { paused }
    },
    async get(table, key) {
      const { active, position } = meta()
      return { value: structuredClone(tableOf(active, table).rows.get(mapKey(key))?.row), position }
    },
    async query(table, query) {
      const { position } = meta()
      const checked = checkedQuery(shape, table, query)
      const found = entries(table, checked)
      const { limit = found.length, direction } = checked
      const chosen = direction === 'next' ? found.slice(0, limit) : found.slice(Math.max(0, found.length - limit)).reverse()
      return { value: limit === 0 ? [] : chosen.map(({ row }) => structuredClone(row)), position }
    },
    async count(table, query) {
      const { position } = meta()
      return { value: entries(table, checkedQuery(shape, table, query)).length, position }
    },
    async letters() {
      return [...shared.letters[meta().active].values()].sort((a, b) => a.position - b.position)
    },
    async removeLetter(position) {
      const had = shared.letters[meta().active].delete(position)
      if (had) shared.meta = { ...shared.meta, letters: shared.meta.letters - 1 }
      if (had) tell({ position: shared.meta.position, tables: [] })
      return had
    },
    async replayLetter(replay) {
      const next = letterReplayed(meta(), replay, shape.name)
      const rows = copied(replay.rows)
      if (!shared.letters[replay.slot].delete(replay.letter)) return false
      shared.meta = next
      write(replay.slot, rows)
      tell(changeOf(next.position, replay.rows))
      return true
    },
    async setPaused(paused) {
      shared.meta = { ...meta(), paused }
      tell({ position: shared.meta.position, tables: [] })
    },
    async recordFault(fault) {
      shared.meta = { ...meta(), fault }
      tell({ position: shared.meta.position, tables: [] })
    },
    async startRebuild() {
      const next = rebuildStarted(meta())
      shared.meta = next.meta
      clear(next.clear)
      tell({ position: next.meta.position, tables: [] })
    },
    onChange(listener) {
      const stop = shared.listeners.add(listener)
      stops.add(stop)
      return () => {
        stops.delete(stop)
        stop()
      }
    },
    close() {
      closed = true
      for (const stop of stops) stop()
      stops.clear()
    },
  }
}
