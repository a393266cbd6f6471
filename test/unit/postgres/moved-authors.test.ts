// A log that moves as an export keeps who made its commits, and when.
import { exportEvents, importEvents } from 'tidemark'
import { openEventStore } from 'tidemark/memory'
import { migratePostgres, openPostgresStore } from 'tidemark/postgres'
import { serverLog } from 'tidemark/server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { postgresUrl, TestSchema } from '../../support/postgres/server.js'
import { event } from '../server/support.js'

const url = await postgresUrl()

describe.skipIf(url === undefined)('a log that moves', { timeout: 60_000 }, () => {
  let place: TestSchema
  beforeAll(async () => {
    place = new TestSchema(url as string)
    await migratePostgres(place.pool, { schema: place.schema })
  })
  afterAll(() => place.dispose())

  const open = (name: string) => openPostgresStore({ pool: place.pool, schema: place.schema, name })
  const commitsOf = async (name: string) =>
    (
      await place.pool.query(
        `select c.at::int as at, c.author, round(extract(epoch from c.recorded) * 1000)::float8 as recorded
         from ${place.schema}.commits c join ${place.schema}.logs l on l.id = c.log where l.name = $1 order by c.at`,
        [name],
      )
    ).rows

  test('N134: keeps the author of each commit, and when it was stored, also in parts and through another store', async () => {
    const from = await open('from')
    const log = serverLog(from.log)
    const push = (author: string, ...ids: string[]) =>
      log.push({ commits: [{ events: ids.map((id) => event(id)) }] }, { author })
    await push('dora', 'a', 'b')
    await push('tom', 'c')
    await from.append('s', { type: 'A', data: null })
    await push('d\u0000é', 'd', 'e')
    // Long ago, as a time that is kept has to show.
    await place.pool.query(`update ${place.schema}.commits set recorded = recorded - at * interval '1 day'`)
    const wanted = await commitsOf('from')
    expect(wanted.map(({ at }) => at)).toEqual([1, 3, 4, 5])

    const to = await open('to')
    await importEvents(to, exportEvents(from, { upTo: 3 }))
    await importEvents(to, exportEvents(from))
    expect(await commitsOf('to')).toEqual(wanted)

    // A store that keeps no authors takes the events.
    const memory = await openEventStore({ name: 'moved-authors' })
    expect(await importEvents(memory, exportEvents(from))).toMatchObject({ imported: 6 })
    const lines: string[] = []
    for await (const line of exportEvents(memory)) lines.push(line)
    expect(lines.join('')).not.toContain('author')
    for (const store of [from, to, memory]) await store.close()
  })
})
