// A connection that is lost at the moment in which it is taken out of the pool must not end the process.
import { EventEmitter } from 'node:events'
import { expect, test, vi } from 'vitest'
import { Database } from '../../../src/postgres/sql-database.js'

/** A pool as that of `pg`, whose connections fail `when` they are handed out: in the same task, as a piece of data may hold both. */
function failingPool(when: 'always' | 'never' | 'with its first reply') {
  const crashes: unknown[] = []
  const clients: EventEmitter[] = []
  const pool = Object.assign(new EventEmitter(), {
    query: async () => ({ rows: [] }),
    connect() {
      let isLost = false
      const client = Object.assign(new EventEmitter(), {
        async query(text: string) {
          if (isLost) throw new Error('not queryable')
          if (when === 'with its first reply') lose()
          return (text.startsWith('begin') ? [{ rows: [] }] : { rows: [] }) as { rows: [] }
        },
        release() {},
      })
      clients.push(client)
      const lose = () => {
        isLost = true
        try {
          client.emit('error', Object.assign(new Error('terminating connection'), { code: '57P01', severity: 'FATAL' }))
        } catch (error) {
          crashes.push(error)
        }
      }
      // What the pool listened with until now is taken away in the same task.
      pool.emit('acquire', client)
      const handedOut = Promise.resolve(client)
      if (when === 'always') lose()
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

test('a session that is lost with its first reply says so to what listens from then on', async () => {
  const { pool, clients } = failingPool('with its first reply')
  const session = await new Database(pool).session()
  const [lost, ended] = [vi.fn<() => void>(), vi.fn<() => void>()]
  session.onLost(lost)
  expect(lost).toHaveBeenCalledTimes(1)
  clients[0]?.emit('end')
  expect(lost).toHaveBeenCalledTimes(1)
  // One that its user has ended is not lost.
  const own = await new Database(failingPool('never').pool).session()
  own.end()
  own.onLost(ended)
  expect(ended).not.toHaveBeenCalled()
})
