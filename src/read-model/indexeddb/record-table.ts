/** A table whose rows are records of their own, so that indexes find them. */
import { requested, requestedAll } from '../../platform/indexeddb.js'
import type { Slices } from '../../platform/slices.js'
import type { RowKey } from '../keys.js'
import type { Selectable } from '../selection.js'
import type { Query } from '../storage.js'
import { countRecords, readRecords } from './records.js'
import type { RowChange } from './packs.js'
import type { Found, TableLayout, TableWrites } from './table-layout.js'
import { pageTurn } from './page-turn.js'

export class RecordTable implements TableLayout {
  readonly #store: IDBObjectStore
  readonly #definition: Selectable

  constructor(store: IDBObjectStore, definition: Selectable) {
    this.#store = store
    this.#definition = definition
  }

  row(key: unknown): Promise<unknown> {
    return requested(this.#store.get(key as IDBValidKey))
  }

  async rows(keys: readonly RowKey[]): Promise<Found<readonly unknown[]>> {
    const rows = await Promise.all(keys.map((key) => this.row(key)))
    return () => rows
  }

  async size(): Promise<Found<number>> {
    const count = await requested(this.#store.count())
    return () => count
  }

  async all(): Promise<Found<readonly unknown[]>> {
    const rows = await requestedAll<unknown>(this.#store.getAll())
    return () => rows
  }

  async lastKey(): Promise<RowKey | undefined> {
    return (await requested(this.#store.openKeyCursor(null, 'prev')))?.primaryKey as RowKey | undefined
  }

  ask(query: Query): Promise<unknown> {
    if (query.kind === 'get') return this.row(query.key)
    if (query.kind === 'many') return Promise.all(query.keys.map((key) => this.row(key)))
    const read = query.kind === 'count' ? countRecords : readRecords
    return read(this.#store, this.#definition, query.options)
  }

  writes(changes: readonly RowChange[]): TableWrites {
    const store = this.#store
    return {
      effort: changes.length,
      added: 0,
      async run(_shows, slices?: Slices) {
        for (const { key, row } of changes) {
          const request: IDBRequest = row === null ? store.delete(key as IDBValidKey) : store.put(row)
          if (slices?.isOver === true) await pageTurn(request, slices)
        }
      },
      packs: () => undefined,
    }
  }
}
