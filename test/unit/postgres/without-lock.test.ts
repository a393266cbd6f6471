// N76, N77: pushes are decided without a lock, in as few round trips as there can be; if another process was faster, they
// are decided again under the lock.
import pg from 'pg'
import { openPostgresLogStore } from 'tidemark/postgres'
import { serverLog, syncHandler, type WireCommit } from 'tidemark/server'
import { expect, test } from 'vitest'
import { inSchema } from '../../support/postgres/in-schema.js'

const commitOf = (stream: string, id: string, expected?: string | null): WireCommit => ({
  events: [{ stream, type: 'A', id, time: 1, data: null }],
  ...(expected !== undefined && { expect: { [stream]: expected } }),
})

inSchema('pushes without a lock', 30_000, (subject) => {
  /** A process of its own. `before` may wait before a statement is sent. */
  function another(log: string, before: (text: string) => Promise<void> | undefined = () => undefined) {
    const pool = subject.anotherPool()
    const sent: string[] = []
    pool.on('connect', (client) => {
      const query = client.query.bind(client) as (...given: unknown[]) => unknown
      client.query = ((...given: unknown[]) => {
        const [text] = given as [string]
        sent.push(text)
        const waiting = before(text)
        return waiting === undefined ? query(...given) : waiting.then(() => query(...given))
      }) as pg.PoolClient['query']
    })
    const store = openPostgresLogStore({ pool, schema: subject.schema, log })
    return {
      log: serverLog(store),
      store,
      pool,
      /** Statements since the last call, without notifications of other processes. */
      trips: () => sent.splice(0).filter((text) => !text.includes('pg_notify')),
    }
  }

  const isStore = (text: string) => text.includes('with free as')

  test('a push is two round trips, with accept three, and none of them locks the log while it is decided', async () => {
    const { log, trips } = another('trips')
    await log.push({ commits: [commitOf('s', 'a')] }, { author: 'anna' })
    trips()
    const commits = [commitOf('s', 'b', 'a'), commitOf('t', 'c', null), commitOf('s', 'd', 'wrong')]
    await log.push({ commits }, { author: 'anna' })
    expect(trips().length).toBe(2)
    await log.push({ commits: [commitOf('s', 'e')] }, { author: 'anna', accept: () => undefined })
    expect(trips().length).toBe(3)
    // What is there already is only looked at.
    await log.push({ commits }, { author: 'anna' })
    expect(trips().length).toBe(1)
  })

  test('a request to push is three round trips, to pull an empty page three, the first page four', async () => {
    const { store, trips } = another('requests')
    const handler = syncHandler({ open: () => ({ log: serverLog(store), author: 'anna' }) })
    const ask = async (path: string, init: RequestInit = {}, log?: string | null) => {
      const headers = { 'Tidemark-Sync': '1', 'Content-Type': 'application/json', ...(log && { 'Tidemark-Log': log }) }
      const response = await handler(new Request(`http://a/${path}`, { ...init, headers }))
      const text = await response.text()
      expect(response.status, text).toBe(200)
      return { text, identity: response.headers.get('Tidemark-Log'), trips: trips().length }
    }
    const { identity } = await ask('info')
    const push = { method: 'POST', body: JSON.stringify({ commits: [commitOf('s', 'x')] }) }
    expect((await ask('push', push, identity)).trips).toBe(3)
    const page = await ask('pull?after=0')
    expect(page.trips).toBe(4)
    const { chain } = JSON.parse(page.text.trimEnd().split('\n').at(-1) ?? '') as { chain: string }
    expect((await ask(`pull?after=1&chain=${chain}`)).trips).toBe(3)
  })

  test('N76: what another process stores between look and store is seen: the push is decided again', async () => {
    const other = another('between')
    await other.log.push({ commits: [commitOf('s', 'a')] }, { author: 'anna' })
    let isFirst = true
    const { log, trips } = another('between', (text) => {
      if (!isStore(text) || !isFirst) return undefined
      isFirst = false
      return other.log.push({ commits: [commitOf('s', 'b', 'a')] }, { author: 'bert' }).then(() => {})
    })
    // Both follow 'a': one of them is too late.
    const { answers, head } = await log.push(
      { commits: [commitOf('s', 'c', 'a'), commitOf('t', 'd', null)] },
      { author: 'anna' },
    )
    expect(answers).toEqual([
      { id: 'c', conflict: { stream: 's', last: 'b' } },
      { id: 'd', accepted: 3 },
    ])
    expect(head).toBe(3)
    expect(trips().some((text) => text.startsWith('begin'))).toBe(true)
    expect((await other.store.read(0, 10)).flatMap(({ events }) => events.map(({ id }) => id))).toEqual(['a', 'b', 'd'])
  })

  test('N77: a commit that is cancelled by another process between look and store is not stored: the head has not moved', async () => {
    const other = another('cancelled')
    await other.log.push({ commits: [commitOf('s', 'a')] }, { author: 'anna' })
    let isFirst = true
    const { log } = another('cancelled', (text) => {
      if (!isStore(text) || !isFirst) return undefined
      isFirst = false
      return other.log.push({ commits: [], cancel: [['b']] }, { author: 'anna' }).then(() => {})
    })
    const { answers } = await log.push({ commits: [commitOf('s', 'b')] }, { author: 'anna' })
    expect(answers[0]).toMatchObject({ id: 'b', refused: {} })
    expect(await other.store.head()).toBe(1)
  })

  test('a push does not wait without a lock_timeout for a process that holds the row: it goes to the queue of the lock', async () => {
    const { log, trips } = another('held')
    await log.push({ commits: [commitOf('s', 'a')] }, { author: 'anna' })
    trips()
    const holder = await subject.pool.connect()
    await holder.query(`begin; select from ${subject.schema}.logs where name = 'held' for update`)
    const pushed = log.push({ commits: [commitOf('s', 'b')] }, { author: 'anna' })
    const all: string[] = []
    await expect.poll(() => all.push(...trips()) && all.some((text) => text.startsWith('begin'))).toBe(true)
    expect(all.filter(isStore).length).toBe(1)
    await holder.query('commit')
    holder.release()
    expect((await pushed).answers).toEqual([{ id: 'b', accepted: 2 }])
  })

  test('N76: four processes push to one log at the same time: every commit is there once, without a hole', async () => {
    const writers = Array.from({ length: 4 }, () => another('crowd'))
    await Promise.all(
      writers.map(async ({ log }, writer) => {
        for (let n = 0; n < 25; n += 1) {
          const { answers } = await log.push({ commits: [commitOf(`s${n % 3}`, `${writer}-${n}`)] }, { author: 'anna' })
          expect(answers[0]).toHaveProperty('accepted')
        }
      }),
    )
    const events = ((await writers[0]?.store.read(0, 1000)) ?? []).flatMap((commit) => commit.events)
    expect(events.map(({ position }) => position)).toEqual(Array.from({ length: 100 }, (_, n) => n + 1))
    expect(new Set(events.map(({ id }) => id)).size).toBe(100)
    for (const stream of ['s0', 's1', 's2']) {
      const versions = events.filter((event) => event.stream === stream).map(({ version }) => version)
      expect(versions).toEqual(versions.map((_, n) => n + 1))
    }
  })
})
