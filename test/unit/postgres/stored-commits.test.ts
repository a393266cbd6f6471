// What one statement reads of a stream is bounded, also where its events are in commits with thousands of others.
import { Database } from '../../../src/postgres/sql-database.js'
import { StoredCommits } from '../../../src/postgres/stored-commits.js'
import { openPostgresStore } from 'tidemark/postgres'
import { expect, test } from 'vitest'
import { inSchema } from '../../support/postgres/in-schema.js'

inSchema('events of a stream in large commits', 60_000, (subject) => {
  test.for(['forwards', 'backwards'] as const)('%s', async (direction) => {
    const { pool, schema } = subject
    const store = await openPostgresStore({ pool, schema, name: direction })
    const of = (stream: string, count: number) => ({
      stream,
      events: Array.from({ length: count }, () => ({ type: 'A', data: null })),
    })
    for (let at = 0; at < 12; at += 1) await store.append([of('s', 1), of('other', 99)])
    const { rows } = await pool.query(`select id from ${schema}.logs where name = $1`, [direction])
    const texts: unknown[][] = []
    const database = new Database(pool)
    const counting = {
      async query(...given: Parameters<Database['query']>) {
        const found = await database.query(...given)
        texts.push([...found])
        return found
      },
    }
    const commits = new StoredCommits(counting, `"${schema}"`, Number((rows[0] as { id: unknown }).id))
    const ofStream = (most: number) => commits.ofStream('s', { after: 0, before: Infinity, direction, most })
    // Each commit counts with all of its events; the first one is read in any case.
    expect(await ofStream(1)).toHaveLength(1)
    expect(await ofStream(101)).toHaveLength(2)
    expect(await ofStream(1200)).toHaveLength(12)
    expect(texts.map((found) => found.length)).toEqual([1, 2, 12])
    const versions: number[] = []
    for await (const { version } of store.readStream('s', { direction })) versions.push(version)
    const all = Array.from({ length: 12 }, (_, at) => at + 1)
    expect(versions).toEqual(direction === 'forwards' ? all : all.toReversed())
    await store.close()
  })
})
