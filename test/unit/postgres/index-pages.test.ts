// A page of an index reads about as many entries as it returns, also of an index with several entries for a row.
import { defineEvents, defineProjection, runProjection, table } from 'tidemark'
import { migratePostgres, openPostgresStore } from 'tidemark/postgres'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { RowQueries, TableNumbers } from '../../../src/postgres/row-queries.js'
import type { Selection } from '../../../src/read-model/selection.js'
import { postgresUrl, TestSchema } from '../../support/postgres/server.js'

const url = await postgresUrl()

type Event = { type: 'Added'; data: { id: number; tags: string[] } }

const events = defineEvents<Event>()
const definition = defineProjection(events, {
  name: 'tagged',
  tables: {
    rows: table<{ id: number; tags: string[] }>()({
      key: 'id',
      indexes: { byTag: { path: 'tags', multiEntry: true } },
    }),
  },
  on: { Added: ({ data }, { rows }) => rows.put(data) },
})

/** How many rows the nodes of a plan that read tables have returned or left out. */
function read(plan: Plan): number {
  const own = plan['Node Type'].includes('Scan') && plan['Relation Name']?.startsWith('read_model_') === true
  const rows = (plan['Actual Rows'] + (plan['Rows Removed by Filter'] ?? 0)) * plan['Actual Loops']
  return (own ? rows : 0) + (plan.Plans ?? []).reduce((sum, each) => sum + read(each), 0)
}

interface Plan {
  readonly 'Node Type': string
  readonly 'Relation Name'?: string
  readonly 'Actual Rows': number
  readonly 'Actual Loops': number
  readonly 'Rows Removed by Filter'?: number
  readonly Plans?: readonly Plan[]
}

describe.skipIf(url === undefined)('a page of an index with several entries for a row', { timeout: 60_000 }, () => {
  let place: TestSchema
  beforeAll(async () => {
    place = new TestSchema(url as string)
    await migratePostgres(place.pool, { schema: place.schema })
    const store = await openPostgresStore<Event>({ pool: place.pool, name: 'tags', schema: place.schema, events })
    const added = Array.from({ length: 2000 }, (_, id) => ({
      type: 'Added' as const,
      data: { id, tags: [`a${id % 1000}`, `b${id % 7}`, `c${id}`] },
    }))
    await store.append('s', added)
    await runProjection(store, definition)
    await store.close()
    await place.pool.query(`analyze ${place.schema}.read_model_rows, ${place.schema}.read_model_entries`)
  }, 60_000)
  afterAll(() => place.dispose())

  const pages: readonly Selection[] = [
    { index: 'byTag', limit: 10 },
    { index: 'byTag', limit: 10, direction: 'prev' },
    { index: 'byTag', limit: 10, ranges: [{ lower: 'b', upper: 'bz' }] },
    { index: 'byTag', limit: 10, after: { at: 'a500', key: 500 } as never },
  ]
  test.for(pages)('%j', async (selection) => {
    const queries = new RowQueries(place.schema, new TableNumbers(definition as never), '(select part from m)')
    const text = `with m as materialized (select part0 as part from ${place.schema}.read_models)
      select (${queries.answer('rows', { kind: 'all', options: selection })}) from m`
    const [{ 'QUERY PLAN': plans }] = (await place.pool.query(`explain (analyze, format json) ${text}`)).rows
    expect(read(plans[0].Plan)).toBeLessThan(100)
    const [answer] = (await place.pool.query(text)).rows
    expect(JSON.parse(Object.values(answer)[0] as string)).toHaveLength(10)
  })
})
