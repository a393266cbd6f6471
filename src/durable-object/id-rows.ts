/** Which rows of a log may hold an event id: fewer rows than ids, since rows written are what a Durable Object costs. */
import { isUuidV7 } from '../events/identifier.js'
import { getOrMake } from '../platform/get-or-make.js'
import type { LoggedCommit, LoggedEvent } from '../server/log-store.js'
import type { DurableSql } from './durable-types.js'
import type { PackedRow } from './packed-rows.js'
import { jsonLists, sqlText } from './sqlite-text.js'

/** The most commits that are found by their millisecond. Those that follow are found by each of their ids. */
const mostShared = 16

/** The key that a new id shares with those of its millisecond, so that a commit needs one row for all of its ids. */
export const sharedKey = (id: string): string | undefined => (isUuidV7(id) ? id.slice(0, 13).toLowerCase() : undefined)

/** The key that an id has for itself: no shared one begins like this. */
export const ownKey = (id: string): string => `=${sqlText(id)}`

/** The ids that may be in a row, by the position where it ends. */
export function rowsOfIds(sql: DurableSql, ids: readonly string[]): Map<number, Set<string>> {
  const keys = new Map<string, string[]>()
  for (const id of new Set(ids)) {
    for (const key of [ownKey(id), sharedKey(id)]) {
      if (key !== undefined) getOrMake(keys, key, () => []).push(id)
    }
  }
  const rows = new Map<number, Set<string>>()
  for (const list of jsonLists(keys.keys())) {
    const query = 'select key, "end" from tidemark_ids where key in (select value from json_each(?))'
    for (const { key, end } of sql.exec(query, list)) {
      const wanted = getOrMake(rows, end as number, () => new Set<string>())
      for (const id of keys.get(key as string) ?? []) wanted.add(id)
    }
  }
  return rows
}

/**
 * Stores where ids are: in one row those of a commit that were made in the same millisecond, and after
 * {@link mostShared} commits of one millisecond each in a row of its own.
 */
export function storeIds(
  sql: DurableSql,
  rows: readonly { readonly commit: LoggedCommit; readonly parts: readonly PackedRow[] }[],
): void {
  const shared = new Set(rows.flatMap(({ commit }) => commit.events.flatMap(({ id }) => sharedKey(id) ?? [])))
  const counts = new Map<string, number>()
  for (const list of jsonLists(shared)) {
    const query =
      'select key, count(*) as n from tidemark_ids where key in (select value from json_each(?)) group by key'
    for (const { key, n } of sql.exec(query, list)) counts.set(key as string, n as number)
  }
  const keys: [string, number][] = []
  for (const { commit, parts } of rows) {
    for (const { end, n } of parts) {
      const first = (commit.events[0] as LoggedEvent).position
      const own = new Set<string>()
      for (const { id } of commit.events.slice(end - n + 1 - first, end + 1 - first)) {
        const key = sharedKey(id)
        own.add(key === undefined || (counts.get(key) ?? 0) >= mostShared ? ownKey(id) : key)
      }
      for (const key of own) {
        keys.push([key, end])
        counts.set(key, (counts.get(key) ?? 0) + 1)
      }
    }
  }
  for (const list of jsonLists(keys))
    sql.exec('insert into tidemark_ids (key, "end") select value ->> 0, value ->> 1 from json_each(?) where true', list)
}
