// N39: a read that is aborted ends immediately, also while the server works on its statement.
import { openPostgresStore } from 'tidemark/postgres'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { inSchema } from '../../support/postgres/in-schema.js'

inSchema('a read whose statement waits for a lock', 60_000, (subject) => {
  let store: Awaited<ReturnType<typeof openPostgresStore>>
  beforeAll(async () => {
    store = await openPostgresStore({ pool: subject.pool, schema: subject.schema, name: 'log' })
    await store.append('s', { type: 'A', data: 1 })
  })
  afterAll(async () => {
    await store.close()
  })

  const all = async (reading: AsyncIterable<{ readonly position: number }>) => {
    const positions = []
    for await (const { position } of reading) positions.push(position)
    return positions
  }

  test.for(['forwards', 'backwards', 'of a stream', 'a page'] as const)('N39: %s', async (kind) => {
    const other = await subject.anotherPool().connect()
    try {
      await other.query(`begin; lock table ${subject.schema}.commits, ${subject.schema}.logs in access exclusive mode`)
      const controller = new AbortController()
      const { signal } = controller
      const reading = {
        forwards: () => all(store.read({ signal })),
        backwards: () => all(store.read({ signal, direction: 'backwards' })),
        'of a stream': () => all(store.readStream('s', { signal })),
        'a page': () => store.readPage({ limit: 10, signal }),
      }[kind]()
      const ended = expect(reading).rejects.toBe('enough')
      const waiting = async () =>
        (await other.query(`select from pg_locks where not granted and database is not null`)).rowCount
      await expect.poll(waiting, { timeout: 20_000 }).toBeGreaterThan(0)
      controller.abort('enough')
      await ended
      // It still waits: nothing but the abort ended the read.
      expect(await waiting()).toBeGreaterThan(0)
    } finally {
      await other.query('rollback')
      other.release()
    }
    expect(await all(store.read())).toEqual([1])
  })
})
