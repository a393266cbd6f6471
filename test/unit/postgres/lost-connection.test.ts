// N77: a decision is stored whole or not at all, wherever its connection is lost, and the error says what is known.
import { randomUUID } from 'node:crypto'
import { TidemarkError } from 'tidemark'
import { openPostgresLogStore, openPostgresStore } from 'tidemark/postgres'
import { serverLog, type LogStore, type PushBody } from 'tidemark/server'
import { expect, test } from 'vitest'
import { type CutWhen } from '../../support/postgres/cutting-proxy.js'
import { inSchema, throughProxy } from '../../support/postgres/in-schema.js'

const bodyOf = (id: string): PushBody => ({
  commits: [
    {
      events: ['a', 'b'].map((each) => ({ stream: 's', type: 'A', id: `${id}${each}`, time: 1, data: each })),
      expect: { s: null },
    },
    { events: [{ stream: 's', type: 'A', id: `${id}c`, time: 1, data: 'c' }], expect: { s: `${id}-gone` } },
  ],
})

/** Decides under the lock of the row, as for a caller who does not say what a decision will ask for. */
const underLock = (store: LogStore): LogStore => ({
  identity: () => store.identity(),
  head: () => store.head(),
  chainAt: (position) => store.chainAt(position),
  read: (after, limit) => store.read(after, limit),
  decide: (work) => store.decide(work),
  subscribe: (listener) => store.subscribe(listener),
  close: () => store.close(),
})

/** How a decision is made, and whether the connection was used before. */
const ways = [false, true].flatMap((isLocked) => [true, false].map((isWarm) => ({ isLocked, isWarm })))
type Way = (typeof ways)[number]

inSchema('a connection that is lost', 120_000, (subject) => {
  const through = throughProxy(subject)
  const poolThroughProxy = () => through.pool({ max: 3 })

  /** Pushes with the connection cut at the nth piece of data. Returns what the caller learns and what is stored. */
  async function cutAt(count: number, when: CutWhen, { isLocked, isWarm }: Way) {
    const { schema } = subject
    const log = `cut-${when}-${count}-${isLocked}-${isWarm}`
    const direct = openPostgresLogStore({ pool: subject.pool, schema, log })
    await direct.identity()
    const pool = poolThroughProxy()
    const store = openPostgresLogStore({ pool, schema, log })
    const server = serverLog(isLocked ? underLock(store) : store)
    if (isWarm) await server.info()
    const id = randomUUID()
    through.proxy.arm(count, when)
    const outcome = await server.push(bodyOf(id), { author: 'anna' }).then(
      () => 'stored' as const,
      (error: unknown) => error,
    )
    const hasCut = through.proxy.disarm()
    const head = await direct.head()
    // Sent again, as a device does.
    const { answers } = await server.push(bodyOf(id), { author: 'anna' })
    expect(answers).toEqual([
      { id: `${id}a`, accepted: 1 },
      { id: `${id}c`, behind: `${id}-gone` },
    ])
    expect(await direct.head()).toBe(2)
    await expect.poll(() => pool.idleCount === pool.totalCount && pool.waitingCount === 0).toBe(true)
    return { outcome, hasCut, head }
  }

  async function everywhere(when: CutWhen, way: Way) {
    const seen = new Set<string>()
    for (let count = 1; ; count += 1) {
      const { outcome, hasCut, head } = await cutAt(count, when, way)
      expect([0, 2], `the head after a cut at ${count}`).toContain(head)
      if (outcome === 'stored') {
        expect(head).toBe(2)
        if (!hasCut) return seen
        continue
      }
      expect(outcome).toBeInstanceOf(TidemarkError)
      const { outcome: known } = outcome as TidemarkError
      if (known === 'not-written') expect(head, `the head after a cut at ${count}`).toBe(0)
      else expect(known, `the outcome after a cut at ${count}`).toBe('unknown')
      seen.add(`${known} ${head}`)
    }
  }

  test('N77: before the server receives a statement: nothing is stored, and only a lost commit is unknown', async () => {
    for (const way of ways)
      expect([...(await everywhere('before', way))].sort()).toEqual(['not-written 0', 'unknown 0'])
  })

  test('N77: after the server has received it: a commit is stored, and the caller knows that it may be', async () => {
    for (const way of ways) expect([...(await everywhere('after', way))].sort()).toEqual(['not-written 0', 'unknown 2'])
  })

  test('N77: a checkpoint whose connection is lost: what is stored was not said to be unwritten', async () => {
    const { schema } = subject
    const direct = await openPostgresStore({ pool: subject.pool, schema, name: 'checkpoints' })
    const store = await openPostgresStore({ pool: poolThroughProxy(), schema, name: 'checkpoints' })
    const outcomes = new Set<unknown>()
    for (const when of ['before', 'after'] as const)
      for (let [count, hasCut] = [1, true]; hasCut; count += 1) {
        const before = (await direct.checkpoints.load('mine')) ?? 0
        through.proxy.arm(count, when)
        const known = await store.checkpoints.save('mine', before + 1, { expected: before }).then(
          () => 'stored',
          ({ outcome }: TidemarkError) => outcome,
        )
        hasCut = through.proxy.disarm()
        const isStored = (await direct.checkpoints.load('mine')) === before + 1
        outcomes.add(`${String(known)}: ${isStored}`)
      }
    expect([...outcomes].sort()).toEqual(expect.arrayContaining(['stored: true', 'unknown: true']))
    expect([...outcomes]).not.toContain('not-written: true')
    await Promise.all([direct.close(), store.close()])
  })

  test('leaves no transaction behind', async () => {
    const left = `select count(*)::int as count from pg_stat_activity where state like 'idle in transaction%' and query like '%' || $1 || '%'`
    await expect.poll(async () => (await subject.pool.query(left, [subject.schema])).rows[0].count).toBe(0)
  })

  test('a listening connection is opened again, and listeners learn what came meanwhile', async () => {
    const { schema } = subject
    const pool = poolThroughProxy()
    const store = openPostgresLogStore({ pool, schema, log: 'listened' })
    const heads: number[] = []
    const stop = store.subscribe((head) => void heads.push(head))
    const writer = serverLog(openPostgresLogStore({ pool: subject.pool, schema, log: 'listened' }))
    const push = (id: string) =>
      writer.push({ commits: [{ events: [{ stream: id, type: 'A', id, time: 1, data: null }] }] }, { author: 'anna' })
    await push('one')
    await expect.poll(() => heads.at(-1)).toBe(1)
    const listening = `select pid from pg_stat_activity where query = 'listen "tidemark_${schema}"'`
    const [first] = (await subject.pool.query(listening)).rows
    await subject.pool.query('select pg_terminate_backend($1)', [first.pid])
    await push('two')
    await expect.poll(() => heads.at(-1)).toBe(2)
    await expect.poll(async () => (await subject.pool.query(listening)).rows.length).toBe(1)
    await push('three')
    await expect.poll(() => heads.at(-1)).toBe(3)
    stop()
    await expect.poll(async () => (await subject.pool.query(listening)).rows.length).toBe(0)
    await store.close()
  })
})
