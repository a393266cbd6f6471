// What another process commits is seen immediately: by notifications, which are believed as little as any other hint.
import { afterAll, afterEach, beforeEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { openReadModel, runProjection, startProjection } from 'tidemark'
import { migratePostgres, openPostgresStore, type PostgresStore } from 'tidemark/postgres'
import { virtualClock } from 'tidemark/testing'
import { postgresUrl, TestSchema } from '../support/postgres/server.js'
import { added, events, sums, type Event } from './projection/model.js'

const url = await postgresUrl()

const soon = { timeout: 20_000 }

describe.skipIf(url === undefined)('stores of other processes', { timeout: 60_000 }, () => {
  let place: TestSchema
  let count = 0
  const opened: PostgresStore<Event>[] = []
  beforeAll(async () => {
    place = new TestSchema(url as string)
    await migratePostgres(place.pool, { schema: place.schema })
  })
  // It would carry hints within this process. Each pool is what another process has.
  beforeEach(() => void vi.stubGlobal('BroadcastChannel', undefined))
  afterEach(async () => {
    vi.unstubAllGlobals()
    for (const store of opened.splice(0)) await store.close()
  })
  afterAll(() => place.dispose())

  const open = async (name: string, schema = place.schema) => {
    const pool = place.anotherPool({ max: 4 })
    const store = await openPostgresStore<Event>({ pool, name, schema, events })
    opened.push(store)
    return store
  }
  const two = async () => {
    const name = `hints-${(count += 1)}`
    return { name, here: await open(name), there: await open(name) }
  }
  /** Notifications that another client sees, and how it sends some. */
  const wire = async () => {
    const client = await place.pool.connect()
    const seen: string[] = []
    client.on('notification', ({ payload = '' }) => void seen.push(payload))
    await client.query(`listen tidemark_${place.schema}`)
    return {
      seen,
      send: (payload: string) => client.query('select pg_notify($1, $2)', [`tidemark_${place.schema}`, payload]),
      end: () => client.release(true),
    }
  }

  test('a live query shows their commits without a look by the clock', async () => {
    const { here, there } = await two()
    const clock = virtualClock()
    const view = await openReadModel(here, sums(), { clock })
    const live = view.live(({ sums }) => sums.getAll())
    const stop = live.subscribe(() => {})
    await expect.poll(() => live.getSnapshot(), soon).toMatchObject({ status: 'ready', data: [] })
    for (const total of [1, 2, 3]) {
      await there.append({ stream: 's', events: [added('a', 1)] })
      await runProjection(there, sums())
      await expect.poll(() => live.getSnapshot(), soon).toMatchObject({ data: [{ name: 'a', total }] })
    }
    expect(clock.now()).toBe(0)
    stop()
    await view.close()
  })

  test('a status shows what they commit, pause and resume without a look by the clock', async () => {
    const { here, there } = await two()
    const leading = startProjection(there, sums())
    // On an empty log it is caught up before it has the lock.
    await expect.poll(() => leading.status.getSnapshot().leader, soon).toBe(true)
    const clock = virtualClock()
    const following = startProjection(here, sums(), { clock })
    const status = () => following.status.getSnapshot()
    await expect.poll(status, soon).toMatchObject({ phase: 'standby' })
    const { position } = await there.append({ stream: 's', events: [added('a', 1)] })
    await expect.poll(status, soon).toMatchObject({ position })
    await leading.pause()
    await expect.poll(status, soon).toMatchObject({ phase: 'paused' })
    await leading.resume()
    // Either of them may have the lock by then.
    await expect.poll(() => status().phase, soon).not.toBe('paused')
    expect(clock.now()).toBe(0)
    await following.stop()
    await leading.stop()
  })

  test('many commits are few notifications, and none of them is large', async () => {
    const { there } = await two()
    const { seen, end } = await wire()
    const handle = startProjection(there, sums())
    const start = performance.now()
    for (let at = 0; at < 100; at += 1) await handle.caughtUp((await there.append('s', [added('a', 1)])).position, soon)
    const most = (performance.now() - start) / 10 + 2
    await handle.stop()
    await expect.poll(() => seen.join(), soon).toContain('"position":100')
    expect(seen.length).toBeLessThan(most)
    for (const payload of seen) expect(payload.length).toBeLessThan(8000)
    end()
  })

  test('what anyone else sends changes nothing, and what comes after it is seen', async () => {
    const { name, here, there } = await two()
    const { seen, send, end } = await wire()
    const clock = virtualClock()
    const view = await openReadModel(here, sums(), { clock })
    const live = view.live(({ sums }) => sums.getAll())
    const stop = live.subscribe(() => {})
    await expect.poll(() => live.getSnapshot(), soon).toMatchObject({ status: 'ready', data: [] })
    await there.append('s', [added('a', 1)])
    await runProjection(there, sums())
    await expect.poll(() => live.getSnapshot(), soon).toMatchObject({ data: [{ total: 1 }] })
    const true_ = seen.find((payload) => payload.includes('"committed"')) as string
    const hint = { kind: 'committed', projection: 'sums@1', position: 2 ** 52, revision: 2 ** 52, from: 'x', to: 'y' }
    for (const payload of [
      '',
      'x',
      `${name} ~`,
      `${name} ~ z`,
      `${name} ~ z {`,
      `${name} ~ z null`,
      `${name} ~ z ${JSON.stringify(hint)}`,
      `${name} ~ z ${JSON.stringify({ ...hint, changes: { sums: [] } })}`,
      `${name} ~ z ${JSON.stringify({ kind: 'head', head: 2 ** 40 })}`,
      `${name} ~ z ${JSON.stringify({ kind: 'healing' })}`,
      `__proto__ ~ z ${JSON.stringify(hint)}`,
      `${name} 99999999999999999999\n${name} -1\n${name} 1e9`,
      true_,
      true_,
    ])
      await send(payload)
    await there.append('s', [added('a', 1)])
    await runProjection(there, sums())
    // A hint that was not true is followed by a pause of a second, and no longer one.
    await clock.advance(1_000)
    await expect.poll(() => live.getSnapshot(), soon).toMatchObject({ status: 'ready', data: [{ total: 2 }] })
    stop()
    await view.close()
    end()
  })

  test('one definition each for logs of one name, in two schemas', async () => {
    const other = new TestSchema(url as string)
    await migratePostgres(other.pool, { schema: other.schema })
    const { name, here } = await two()
    const there = await open(name, other.schema)
    const first = await openReadModel(here, sums())
    const second = await openReadModel(there, { ...sums(), onFailure: () => 'skip' })
    await there.append('s', [added('a', 1)])
    await runProjection(there, { ...sums(), onFailure: () => 'skip' })
    expect(await second.sums.getAll()).toMatchObject([{ total: 1 }])
    expect(await first.sums.getAll()).toEqual([])
    await first.close()
    await second.close()
    await there.close()
    await other.dispose()
  })
})
