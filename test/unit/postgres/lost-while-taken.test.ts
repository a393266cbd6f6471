// A connection that is lost at the moment in which it is taken out of the pool must not end the process.
import { EventEmitter } from 'node:events'
import { expect, test } from 'vitest'
import { Database } from '../../../src/postgres/sql-database.js'

/** A pool as that of `pg`, whose connections fail `when` they are handed out: in the same task, as a piece of data may hold both. */
function failingPool(when: 'always' | 'never') {
  const crashes: unknown[] = []
  const clients: EventEmitter[] = []
  const pool = Object.assign(new EventEmitter(), {
    query: async () => ({ rows: [] }),
    connect() {
      let isLost = false
      const client = Object.assign(new EventEmitter(), {
        async query(text: string) {
          if (isLost) throw new Error('not queryable')
          return (text.startsWith('begin') ? [{ rows: [] }] : { rows: [] }) as { rows: [] }
        },
        release() {},
      })
      clients.push(client)
      // What the pool listened with until now is taken away in the same task.
      pool.emit('acquire', client)
      const handedOut = Promise.resolve(client)
      if (when === 'always') {
        isLost = true
        try {
          client.emit('error', Object.assign(new Error('terminating connection'), { code: '57P01', severity: 'FATAL' }))
        } catch (error) {
          crashes.push(error)
        }
      }
      return handedOut
    },
  })
  return { pool, crashes, clients }
}

test('whatever it is taken for', async () => {
  const { pool, crashes } = failingPool('always')
  const database = new Database(pool)
  const lost = { code: 'storage-failed', outcome: 'not-written' }
  await expect(database.query('select 1')).rejects.toMatchObject(lost)
  await expect(database.transaction(async () => {})).rejects.toMatchObject(lost)
  await expect(database.session()).rejects.toMatchObject(lost)
  expect(crashes).toEqual([])
})

test('and nothing listens to a connection that is back, nor twice to the pool', async () => {
  const { pool, clients } = failingPool('never')
  for (let each = 0; each < 3; each += 1) {
    const database = new Database(pool)
    await database.query('select 1')
    await database.transaction((sql) => sql.query('select 1'))
    ;(await database.session()).giveBack()
  }
  expect(pool.listenerCount('acquire')).toBe(1)
  expect(clients.map((client) => client.listenerCount('error'))).toEqual(clients.map(() => 0))
})
