// N89, N90: the parts of a log in a Durable Object that need no workerd: tickets, rounds of hints, going back.
import { durableLog, durableLogStore, type DurableContext, type DurableSocket } from 'tidemark/durable-object'
import { InvalidArgumentError } from 'tidemark'
import { virtualClock } from 'tidemark/testing'
import { describe, expect, test, vi } from 'vitest'
import { ownKey, sharedKey } from '../../../src/durable-object/id-rows.js'
import { jsonLists, sqlText } from '../../../src/durable-object/sqlite-text.js'
import { SqlLog } from '../../../src/durable-object/sql-log.js'
import { Tickets } from '../../../src/durable-object/tickets.js'
import { WakeSockets } from '../../../src/durable-object/wake-sockets.js'
import { heapUsed } from '../../support/heap.js'

function fakeContext(sockets: DurableSocket[] = []) {
  const calls: unknown[] = []
  const none = () => {
    throw new Error('It is not asked.')
  }
  const ctx: DurableContext = {
    storage: {
      sql: { exec: none, databaseSize: 0 },
      transactionSync: (work) => work(),
      getAlarm: none,
      setAlarm: none,
      getCurrentBookmark: async () => 'now',
      getBookmarkForTime: async (time) => `bookmark of ${time}`,
      onNextSessionRestoreBookmark: async (bookmark) => {
        calls.push(bookmark)
        return 'unused'
      },
    },
    acceptWebSocket: none,
    getWebSockets: () => sockets,
    getTags: () => ['tidemark'],
    setWebSocketAutoResponse: none,
    abort: () => void calls.push('abort'),
  }
  return { ctx, calls }
}

test('a page that is full before the log ends leaves no statement open', () => {
  const all = Array.from({ length: 5000 }, (_, index) => {
    const position = index + 1
    const event = { position, commit: position, stream: 's', version: position, type: 'T', id: `e${position}`, time: 1 }
    return { end: position, n: 1, bytes: 1100, lines: JSON.stringify({ ...event, data: 'x'.repeat(1000) }) }
  })
  const open = new Set<object>()
  const exec = (query: string, after: number, most: number) => {
    const behind = all.filter(({ end }) => end > after)
    const rows = query.includes('<= ?')
      ? behind.filter(({ end }) => end <= most)
      : query.includes('limit ?')
        ? behind.slice(0, most)
        : behind
    const cursor = {
      toArray() {
        open.delete(cursor)
        return rows
      },
      *[Symbol.iterator]() {
        yield* rows
        open.delete(cursor)
      },
    }
    open.add(cursor)
    return cursor
  }
  const { storage } = fakeContext().ctx
  const log = new SqlLog({ ...storage, sql: { exec, databaseSize: 0 } } as unknown as typeof storage, {})
  const events = log.behind(0)
  expect(events.length).toBeGreaterThan(100)
  expect(events.length).toBeLessThan(all.length)
  expect(open.size).toBe(0)
})

describe('tickets', () => {
  test('are good once, for a minute', async () => {
    const clock = virtualClock()
    const tickets = new Tickets(clock)
    const [first, second, third] = [tickets.issue(), tickets.issue(), tickets.issue()]
    expect(new Set([first, second, third]).size).toBe(3)
    expect([tickets.take(first), tickets.take(first), tickets.take('x')]).toEqual([true, false, false])
    await clock.advance(59_999)
    expect(tickets.take(second)).toBe(true)
    await clock.advance(1)
    expect(tickets.take(third)).toBe(false)
  })

  test('fill no memory: of very many the oldest go', () => {
    const tickets = new Tickets(virtualClock())
    const all = Array.from({ length: 10_001 }, () => tickets.issue())
    const taken = [0, 1, 2, 10_000].map((n) => tickets.take(all[n] ?? ''))
    expect(taken).toEqual([false, true, true, true])
  })
})

describe('hints', () => {
  const told = async (count: number, heads: number, every: number) => {
    const clock = virtualClock()
    const heard: [number, string][] = []
    const broken = {
      send() {
        throw new Error('It is closing.')
      },
      close() {},
    }
    const socket = { send: (text: string) => void heard.push([clock.monotonic(), text]), close() {} }
    const { ctx } = fakeContext([
      broken,
      ...Array.from({ length: count - 2 }, () => ({ send() {}, close() {} })),
      socket,
    ])
    const sockets = new WakeSockets(ctx, clock)
    for (let head = 1; head <= heads; head += 1) {
      sockets.tell(head)
      await clock.advance(every)
    }
    await clock.advance(100_000)
    expect(clock.pending).toBe(0)
    return heard
  }

  test('the first is immediate, those that follow are merged to 20 a second, and the last says the head', async () => {
    const heard = await told(3, 100, 10)
    expect(heard[0]).toEqual([0, '{"head":1}'])
    expect(heard.at(-1)?.[1]).toBe('{"head":100}')
    expect(heard.length).toBeLessThanOrEqual(21)
    expect(heard.length).toBeGreaterThan(15)
  })

  test('a thousand sockets get one a second', async () => {
    const heard = await told(1000, 100, 100)
    const pauses = heard.slice(1).map(([at], index) => at - (heard[index]?.[0] ?? 0))
    expect(Math.min(...pauses)).toBeGreaterThanOrEqual(1000)
    expect(heard.at(-1)?.[1]).toBe('{"head":100}')
  })
})

test('N89: a socket that opens while a commit is stored gets the head behind it', async () => {
  const texts: string[] = []
  const own = { send: (text: string) => void texts.push(text), close() {} }
  class Pair {
    readonly 0 = {}
    readonly 1 = own
  }
  vi.stubGlobal('WebSocketPair', Pair)
  try {
    const { ctx } = fakeContext()
    const sockets = new WakeSockets({ ...ctx, acceptWebSocket: () => {} }, virtualClock())
    let head = 1
    const reading = async () => {
      const read = head
      await Promise.resolve()
      if (read === 1) sockets.tell((head = 2))
      return read
    }
    // Node makes no response of a switch of protocols.
    await sockets.accept(sockets.issue().ticket, reading).catch(() => {})
    expect(texts).toEqual(['{"head":2}'])
  } finally {
    vi.unstubAllGlobals()
  }
})

describe('going back', () => {
  test('a time that is none goes nowhere', async () => {
    const { ctx, calls } = fakeContext()
    const log = durableLog(ctx, { session: () => ({ author: 'anna' }) })
    await expect(log.restore(Date.parse('yesterday'))).rejects.toThrow(InvalidArgumentError)
    expect(calls).toEqual([])
  })

  test('nothing goes back, now or later, if it cannot be said how to undo it', async () => {
    const { ctx, calls } = fakeContext()
    const log = durableLog(ctx, { session: () => ({ author: 'anna' }) })
    const full = () => Promise.reject(new Error('The disk is full.'))
    await expect(log.restore(1000, full)).rejects.toThrow('The disk is full.')
    expect(calls).toEqual([])
  })

  test('the object ends after it has said how to undo it', async () => {
    const { ctx, calls } = fakeContext()
    const log = durableLog(ctx, { session: () => ({ author: 'anna' }) })
    await expect(log.restore(1000, (bookmark) => void calls.push(bookmark))).rejects.toThrow()
    await expect(log.restore('b')).rejects.toThrow()
    expect(calls).toEqual(['now', 'bookmark of 1000', 'abort', 'b', 'abort'])
  })
})

test('N89: a socket that is closing disturbs nothing', () => {
  const { ctx } = fakeContext()
  const log = durableLog(ctx, { session: () => ({ author: 'anna' }) })
  const fail = () => {
    throw new Error('It is closing.')
  }
  const socket = { send: fail, close: fail }
  for (const message of ['ping', 'x', new ArrayBuffer(1)]) log.webSocketMessage(socket, message)
  log.webSocketClose(socket)
})

describe('what is wrong is said', () => {
  test('when the log is made', () => {
    const { ctx } = fakeContext()
    expect(() => durableLog(ctx, {} as never)).toThrow('session')
    expect(() => durableLog(ctx, { session: () => ({ author: '' }), accepts: 1 } as never)).toThrow('accepts')
    expect(() => durableLogStore({ storage: {} } as never)).toThrow('SQLite')
    expect(() => durableLogStore(ctx, { log: 'a/b' })).toThrow('characters')
    durableLogStore(ctx, { generation: '1' })
    expect(() => durableLogStore(ctx, { generation: '2' })).toThrow('first')
    expect(() => durableLogStore(ctx, { log: 'a' })).toThrow('first')
    expect(() => durableLogStore(ctx, { generation: '1' })).not.toThrow()
    expect(() => durableLogStore(ctx)).not.toThrow()
  })

  test('to onError, and with 503, if the storage fails', async () => {
    const { ctx } = fakeContext()
    const onError = vi.fn()
    const log = durableLog(ctx, { session: () => ({ author: 'anna' }), onError })
    const response = await log.fetch(new Request('https://x.test/info', { headers: { 'Tidemark-Sync': '1' } }))
    expect([response.status, ((await response.json()) as { code: string }).code]).toEqual([503, 'unavailable'])
    expect(onError).toHaveBeenCalledWith(expect.objectContaining({ code: 'storage-failed', outcome: 'not-written' }))
  })
})

test('names stay different, and their keys too', () => {
  const names = [
    'a',
    'a\u0000',
    'a\\u0000',
    'a"',
    'a\\"',
    '\ud800',
    '\udc00',
    '\\ud800',
    '\ud83d\ude00',
    'é',
    'e\u0301',
  ]
  expect(new Set(names.map(sqlText)).size).toBe(names.length)
  expect(names.map(sqlText).every((text) => !/[\0]|\p{Surrogate}/u.test(text))).toBe(true)
  const id = '01939f3e-7c00-7abc-8def-0123456789ab'
  expect(sharedKey(id)).toBe('01939f3e-7c00')
  expect(sharedKey(id.toUpperCase())).toBe(sharedKey(id))
  expect(sharedKey('01939f3e-7c00')).toBeUndefined()
  expect(ownKey('01939f3e-7c00')).not.toBe(sharedKey(id))
})

test('what is given to a statement is in texts of less than 1 MiB', () => {
  const names = Array.from({ length: 20_000 }, (_, n) => `name ${n} `.repeat(10))
  const lists = jsonLists(names)
  expect(lists.flatMap((list) => JSON.parse(list) as string[])).toEqual(names)
  expect(Math.max(...lists.map((list) => list.length))).toBeLessThan(1 << 20)
  expect(jsonLists([])).toEqual([])
})

test('N87: events that were found keep no rows in memory', () => {
  // Each row has an event that is asked for, and 512 KiB of another one.
  const numbers = Array.from({ length: 50 }, (_, n) => n + 1)
  const filler = '-'.repeat(524_000)
  const rowOf = (end: number) => ({
    end,
    n: 2,
    author: 'anna',
    chain: 'c',
    lines: [
      JSON.stringify({ position: end - 1, id: `id-${end / 2}`, stream: `s-${end / 2}`, type: 'A', version: 1 }),
      `{"position":${end},"id":"filler-${end}","stream":"t-${end / 2}","data":"${filler}"}`,
    ].join('\n'),
  })
  const asked = (query: string, given: unknown): object[] => {
    const names = () => JSON.parse(given as string) as string[]
    if (query.includes('tidemark_ids')) return names().map((key) => ({ key, end: 2 * Number(key.slice(4)) }))
    if (query.includes('tidemark_streams'))
      return names().map((name) => ({ position: 2 * Number(name.slice(2)) - (name[0] === 's' ? 1 : 0) }))
    return [rowOf(2 * Math.ceil((given as number) / 2))]
  }
  const exec = (query: string, given: unknown) => {
    const rows = asked(query, given)
    return Object.assign(rows, { toArray: () => rows })
  }
  const sql = { exec, databaseSize: 0 }
  const log = new SqlLog({ sql } as never, {})
  const before = heapUsed()
  const found = [log.find(numbers.map((n) => `id-${n}`)), log.last(numbers.map((n) => `s-${n}`))]
  // Nor do they keep what they say, if that is long: it is read when it is asked for.
  const long = log.last(numbers.map((n) => `t-${n}`))
  const kept = heapUsed() - before
  const positions = numbers.map((n) => 2 * n - 1)
  expect(found.map((events) => [...events.values()].map(({ position }) => position))).toEqual([positions, positions])
  expect([...(found[0]?.values() ?? [])].map(({ line }) => JSON.parse(line).id)).toEqual(numbers.map((n) => `id-${n}`))
  expect(kept).toBeLessThan(5_000_000)
  expect([...long.values()].map(({ line }) => JSON.parse(line).position)).toEqual(numbers.map((n) => 2 * n))
})
