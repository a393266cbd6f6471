/**
 * Questions for rows by their keys as one question for each table: PostgreSQL plans each part of a statement, and a page
 * that asks for a thousand rows one by one would wait for that.
 */
import type { RowKey } from '../read-model/keys.js'
import type { TableQuery } from '../read-model/selection.js'

export interface JoinedQueries {
  readonly asked: readonly TableQuery[]
  /** What was asked first, in its order, from the values of what is asked now. */
  values(of: readonly unknown[]): unknown[]
}

export function joinedQueries(queries: readonly TableQuery[]): JoinedQueries {
  const asked: TableQuery[] = []
  const byKey = new Map<string, { readonly at: number; readonly keys: RowKey[] }>()
  const values: ((of: readonly unknown[]) => unknown)[] = []
  for (const one of queries) {
    const { table, query } = one
    if (query.kind !== 'get' && query.kind !== 'many') {
      const at = asked.push(one) - 1
      values.push((of) => of[at])
      continue
    }
    let joined = byKey.get(table)
    if (joined === undefined) {
      joined = { at: asked.length, keys: [] }
      byKey.set(table, joined)
      asked.push({ table, query: { kind: 'many', keys: joined.keys } })
    }
    const { at, keys } = joined
    const from = keys.length
    for (const key of query.kind === 'get' ? [query.key] : query.keys) keys.push(key)
    const to = keys.length
    values.push((of) => {
      const rows = of[at] as readonly unknown[]
      return query.kind === 'get' ? rows[from] : rows.slice(from, to)
    })
  }
  return { asked, values: (of) => values.map((value) => value(of)) }
}
