/** Which rows of a view are pending: what the tables of a synced store have in addition. */
import type { KeysOf, RowOf, Tables } from '../read-model/define.js'
import type { RowKey } from '../read-model/keys.js'
import type { LiveQuery } from '../reading/live-query.js'
import type { LiveTable } from '../reading/live-tables.js'
import type { ViewCalls, ViewPorts } from '../reading/view-calls.js'
import type { OwnQuery } from './overlay/merged.js'

/** What a table of a synced store's read model has in addition. */
export interface PendingRows {
  /**
   * The keys of the rows that pending events of this device changed or deleted, in no order. Until their events are in the
   * rows of the log, also those that the server has confirmed.
   *
   * @example
   * const pending = new Set(await view.todos.pendingKeys())
   */
  pendingKeys(): Promise<readonly RowKey[]>
  /**
   * The same, kept up to date: for a mark next to each row. Each call returns the same live query, as `live` does.
   *
   * @example
   * const pending = new Set(useLiveQuery(app.todos.items.livePendingKeys()).data)
   */
  livePendingKeys(): LiveQuery<readonly RowKey[]>
}

/** The tables of a view of a synced store, by name. */
export type SyncedTables<T extends Tables> = {
  readonly [N in keyof T]: LiveTable<RowOf<T[N]>, KeysOf<T[N]>> & PendingRows
}

/** Adds the methods to the tables of a view. */
export function addPendingRows(
  tables: object,
  { ask, live }: Pick<ViewCalls<Tables>, 'live'> & Pick<ViewPorts<Tables>, 'ask'>,
): void {
  const question: OwnQuery = { kind: 'count', options: {}, pendingKeys: true }
  for (const [name, table] of Object.entries(tables))
    Object.assign(table as object, {
      pendingKeys: async () => (await ask(name, question)).value,
      livePendingKeys: () => live(['pendingKeys', name], (_, put) => put(name, question)),
    } satisfies Record<keyof PendingRows, unknown>)
}
