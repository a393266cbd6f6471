// A database that hangs: what waits for it fails in a bounded time, with what is known, and is not decided behind that.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { TidemarkError } from 'tidemark'
import { LogQueue } from '../../../src/postgres/log-queue.js'
import { LogTables } from '../../../src/postgres/log-tables.js'
import { Database } from '../../../src/postgres/sql-database.js'
import { systemClock } from '../../../src/platform/clock.js'
import type { LogDecision } from '../../../src/server/log-store.js'
import { chainStart } from '../../../src/wire/protocol.js'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const row = { id: 1, identity: 'log-1', epoch: 'epoch-1', head: 0, chain: chainStart, other: 0, writtenBy: '7' }

/** How long a statement may take. */
const limit = 45_000

type Kind = 'connect' | 'look' | 'begin' | 'store' | 'commit' | 'other'

const kindOf = (text: string): Kind =>
  text.startsWith('begin')
    ? 'begin'
    : text.includes('with free as')
      ? 'store'
      : text.startsWith('with own')
        ? 'look'
        : text === 'commit'
          ? 'commit'
          : 'other'

/** A database that hangs where a test says so, until that is over. */
function hangingDatabase() {
  let hangs: Kind | undefined
  let [delay, slept] = [0, 0]
  const released: (() => void)[] = []
  const sent: Kind[] = []
  const waits = (kind: Kind) =>
    hangs === kind
      ? new Promise<void>((resolve) => void released.push(resolve))
      : delay > 0 && kind === 'begin'
        ? new Promise<void>((resolve) => void setTimeout(resolve, delay))
        : undefined
  const replies: Partial<Record<Kind, () => unknown>> = {
    begin: () => [{ rows: [] }, { rows: [row] }],
    look: () => ({ rows: [{ kind: 0, key: null, at: null, text: JSON.stringify(row) }] }),
    store: () => ({ rows: stores ? [{ id: 1 }] : [] }),
  }
  let stores = true
  const client = () => ({
    async query(text: string) {
      const kind = kindOf(text)
      sent.push(kind)
      await waits(kind)
      return (replies[kind]?.() ?? { rows: [] }) as { rows: [] }
    },
    release() {},
    on() {},
    removeListener() {},
  })
  const pool = {
    async connect() {
      await waits('connect')
      return client()
    },
    query: async () => ({ rows: [] }),
  }
  const idle = vi.fn<() => void>()
  const queue = new LogQueue(new Database(pool), new LogTables('tidemark', 'log'), () => {}, idle, {
    ...systemClock,
    monotonic: () => systemClock.monotonic() + slept,
  })
  return {
    queue,
    idle,
    sent,
    hangsAt: (kind: Kind) => (hangs = kind),
    /** Each transaction takes this long to begin. */
    slow: (ms: number) => (delay = ms),
    /** The process was stopped for this long: what was due then is late. */
    sleep: (ms: number) => (slept += ms),
    isOvertaken: () => (stores = false),
    isBack() {
      hangs = undefined
      for (const resolve of released.splice(0)) resolve()
    },
  }
}

const asks = { author: 'anna', ids: ['a'], streams: ['s'] }

/** Adds one verdict, so that there is something to store. */
const keeping = (calls: string[], name: string) => async (log: LogDecision) => {
  calls.push(name)
  await log.keep('anna', [name], { refused: { code: 'no', message: 'no' } })
  return name
}

interface Fate {
  readonly value?: string
  readonly error?: TidemarkError
  /** How long it waited, ms. */
  readonly after: number
}

/** What becomes of decisions, once it is known. */
function fates() {
  const all = new Map<string, Fate>()
  const watch = (name: string, decision: Promise<string>) => {
    const since = Date.now()
    decision.then(
      (value) => all.set(name, { value, after: Date.now() - since }),
      (error: TidemarkError) => all.set(name, { error, after: Date.now() - since }),
    )
  }
  return { all, watch }
}

describe.each<[Kind, boolean]>([
  ['connect', true],
  ['connect', false],
  ['look', true],
  ['begin', false],
])('a database that hangs (%s, questions known: %s)', (kind, knows) => {
  test('N77: each decision that waits fails within the limit, counted from when it began to wait', async () => {
    const it = hangingDatabase()
    const calls: string[] = []
    const { all, watch } = fates()
    it.hangsAt(kind)
    for (let each = 0; each < 20; each += 1) {
      watch(
        `${each}`,
        it.queue.decide(keeping(calls, `${each}`), async () => {}, knows ? asks : undefined),
      )
      await vi.advanceTimersByTimeAsync(2_000)
    }
    await vi.advanceTimersByTimeAsync(limit)
    expect([...all.keys()].sort()).toEqual(Array.from({ length: 20 }, (_, each) => `${each}`).sort())
    for (const [name, { error, after }] of all) {
      expect(after, name).toBeLessThanOrEqual(limit + 10)
      expect(error, name).toMatchObject({ outcome: 'not-written' })
      expect(['storage-busy', 'storage-failed'], name).toContain(error?.code)
    }
    // It is back: what has failed is not decided any more, and what comes now is.
    it.isBack()
    watch(
      'late',
      it.queue.decide(keeping(calls, 'late'), async () => {}, knows ? asks : undefined),
    )
    await vi.advanceTimersByTimeAsync(limit)
    expect(all.get('late')).toMatchObject({ value: 'late' })
    expect(calls).toEqual(['late'])
    expect(it.idle).toHaveBeenCalled()
    expect(vi.getTimerCount()).toBe(0)
  })
})

test.each<[Kind, boolean]>([
  ['store', true],
  ['commit', false],
])('a %s that hangs: that is unknown, and what waits behind it is not written', async (kind, knows) => {
  const it = hangingDatabase()
  const calls: string[] = []
  const { all, watch } = fates()
  it.hangsAt(kind)
  watch(
    'first',
    it.queue.decide(keeping(calls, 'first'), async () => {}, knows ? asks : undefined),
  )
  await vi.advanceTimersByTimeAsync(1_000)
  for (const name of ['second', 'third']) {
    watch(
      name,
      it.queue.decide(keeping(calls, name), async () => {}, knows ? asks : undefined),
    )
    await vi.advanceTimersByTimeAsync(1_000)
  }
  it.hangsAt('connect')
  await vi.advanceTimersByTimeAsync(limit)
  expect(all.get('first')).toMatchObject({ error: { outcome: 'unknown' } })
  for (const name of ['second', 'third']) {
    expect(all.get(name)).toMatchObject({ error: { code: 'storage-busy', outcome: 'not-written' } })
    expect(all.get(name)?.after).toBeLessThanOrEqual(limit + 10)
  }
  expect(calls).toEqual(['first'])
  await vi.advanceTimersByTimeAsync(limit)
  expect(vi.getTimerCount()).toBe(0)
})

test('N76: a decision that another process overtook, and that waits for the lock then, is not written', async () => {
  const it = hangingDatabase()
  const calls: string[] = []
  const { all, watch } = fates()
  it.isOvertaken()
  it.hangsAt('begin')
  watch(
    'overtaken',
    it.queue.decide(keeping(calls, 'overtaken'), async () => {}, asks),
  )
  await vi.advanceTimersByTimeAsync(limit + 10)
  expect(it.sent).toEqual(['look', 'store', 'begin'])
  expect(all.get('overtaken')).toMatchObject({ error: { outcome: 'not-written' } })
  it.isBack()
  await vi.advanceTimersByTimeAsync(limit)
  expect(calls).toEqual(['overtaken'])
})

test('a database that is slow, and decides: what waits for longer is decided all the same', async () => {
  const it = hangingDatabase()
  const calls: string[] = []
  const { all, watch } = fates()
  it.slow(30_000)
  for (let each = 0; each < 2_000; each += 1)
    watch(
      `${each}`,
      it.queue.decide(keeping(calls, `${each}`), async () => {}),
    )
  await vi.advanceTimersByTimeAsync(150_000)
  expect([...all.values()].filter(({ error }) => error !== undefined)).toEqual([])
  expect(calls.length).toBe(2_000)
  expect(all.get('1999')?.after).toBeGreaterThan(limit)
  expect(vi.getTimerCount()).toBe(0)
})

describe('after the process was stopped for longer than a decision may wait', () => {
  /** Three that wait for a database that hangs, the first of them asked about already. */
  async function stopped() {
    const it = hangingDatabase()
    const calls: string[] = []
    const { all, watch } = fates()
    it.hangsAt('begin')
    const ask = (name: string) =>
      watch(
        name,
        it.queue.decide(keeping(calls, name), async () => {}),
      )
    for (const name of ['1', '2', '3']) ask(name)
    // Timers look every 5 s, and that one is late then.
    await vi.advanceTimersByTimeAsync(4_999)
    it.sleep(600_000)
    return { it, calls, all, ask }
  }

  test('what waits is decided all the same, as soon as the database is there', async () => {
    const { it, calls, all } = await stopped()
    await vi.advanceTimersByTimeAsync(30_000)
    expect([...all]).toEqual([])
    it.isBack()
    await vi.advanceTimersByTimeAsync(1_000)
    expect([...all.values()].map(({ value }) => value)).toEqual(['1', '2', '3'])
    expect(calls).toEqual(['1', '2', '3'])
    expect(vi.getTimerCount()).toBe(0)
  })

  test('N77: what waits fails within the limit, in which that time does not count', async () => {
    const { all, ask } = await stopped()
    // Before the timers that are late.
    ask('new')
    await vi.advanceTimersByTimeAsync(limit - 5_000 - 10)
    expect([...all.keys()]).toEqual([])
    await vi.advanceTimersByTimeAsync(5_020)
    expect([...all.keys()].sort()).toEqual(['1', '2', '3', 'new'])
    for (const [name, { error, after }] of all) {
      expect(after, name).toBeLessThanOrEqual(limit + 10)
      expect(error, name).toMatchObject({ outcome: 'not-written' })
    }
  })
})
