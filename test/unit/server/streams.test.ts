// Bodies that last: pages and hints, with back-pressure, ends and a log that goes back.
import { memoryLogStore, serverLog, syncHandler, type LogStore, type ServerLog } from 'tidemark/server'
import { virtualClock } from 'tidemark/testing'
import { describe, expect, test, vi } from 'vitest'
import { event, served } from './support.js'

const manyEvents = (count: number, data: unknown = 0, from = 0) =>
  Array.from({ length: count }, (_, n) => event(`e${from + n}`, { data }))

/** A log of commits of these sizes. */
async function filled(sizes: readonly number[], data?: unknown) {
  const store = memoryLogStore()
  const log = serverLog(store)
  let from = 0
  for (const size of sizes) {
    await log.push({ commits: [{ events: manyEvents(size, data, from) }] }, { author: '' })
    from += size
  }
  return { store, log }
}

const textOf = async (parts: AsyncIterable<string>) => {
  let text = ''
  for await (const part of parts) text += part
  return text
}

const linesOf = (text: string) =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)

describe('a page', () => {
  test('N57: has a cursor after every 1,000 events or so, never within a commit, and one at its end', async () => {
    const { log } = await filled([400, 700, 999, 1, 1000, 3, 996])
    const lines = linesOf(await textOf(await log.pull({ after: 0 })))
    const cursors = lines.filter((line) => 'scannedTo' in line).map(({ scannedTo }) => scannedTo)
    expect(cursors).toEqual([1100, 2099 + 1, 3100, 4099])
    for (const [index, line] of lines.entries())
      if ('scannedTo' in line && index + 1 < lines.length)
        expect(lines[index + 1]!['commit']).toBe(lines[index + 1]!['position'])
  })

  test('has 5,000 events at most, whatever is asked for', async () => {
    const { log } = await filled(Array.from({ length: 7 }, () => 800))
    for (const limit of [undefined, 5000, 1_000_000]) {
      const lines = linesOf(await textOf(await log.pull({ after: 0, ...(limit && { limit }) })))
      expect(lines.at(-1)).toMatchObject({ scannedTo: 4800 })
      expect(lines[0]).toMatchObject({ head: 5600 })
    }
  })

  test('ends at the head that it began with', async () => {
    const { log } = await filled([1, 1])
    const parts = (await log.pull({ after: 0 }))[Symbol.asyncIterator]()
    const [header] = linesOf((await parts.next()).value as string)
    expect(header).toMatchObject({ head: 2 })
    await log.push({ commits: [{ events: manyEvents(1, 0, 10) }] }, { author: '' })
    let text = ''
    for (let part = await parts.next(); !part.done; part = await parts.next()) text += part.value
    expect(linesOf(text).at(-1)).toMatchObject({ scannedTo: 2 })
  })

  test('N57: is cut off if the log goes back while it is sent', async () => {
    const { store, log } = await filled([500, 500, 500])
    const before = store.snapshot()
    const parts = (await log.pull({ after: 0 }))[Symbol.asyncIterator]()
    await parts.next()
    store.restore(before)
    await expect(parts.next()).rejects.toThrow()
  })

  test('of another epoch than the one that was asked for is refused', async () => {
    const { store, log } = await filled([1])
    const { epoch } = await store.identity()
    await textOf(await log.pull({ after: 0, epoch }))
    store.renewEpoch()
    await expect(log.pull({ after: 0, epoch })).rejects.toMatchObject({
      code: 'request-refused',
      status: 409,
      problem: { code: 'other-epoch' },
    })
  })

  /** A handler over a store that counts what is read. */
  async function counted(sizes: readonly number[], data: string) {
    const { store } = await filled(sizes, data)
    const read = vi.fn((after: number, limit: number) => store.read(after, limit))
    const counting = new Proxy<LogStore>(store, {
      get: (target, name) => {
        const value = name === 'read' ? read : (target[name as 'head'] as unknown)
        return typeof value === 'function' && name !== 'read' ? value.bind(target) : value
      },
    })
    return { handler: syncHandler({ open: () => ({ log: serverLog(counting) }) }), read }
  }

  const request = (signal?: AbortSignal) =>
    new Request('http://localhost/pull', { headers: { 'Tidemark-Sync': '1' }, ...(signal && { signal }) })

  test('N57: is read from the store as it is taken, and no further', async () => {
    const { handler, read } = await counted(
      Array.from({ length: 100 }, () => 10),
      'x'.repeat(10_000),
    )
    const reader = (await handler(request())).body!.getReader()
    await reader.read()
    await new Promise((resolve) => setTimeout(resolve, 0))
    const begun = read.mock.calls.length
    expect(begun).toBeLessThan(8)
    let bytes = 0
    for (let part = await reader.read(); !part.done; part = await reader.read()) bytes += part.value.length
    expect(bytes).toBeGreaterThan(9_000_000)
    expect(read.mock.calls.length).toBeGreaterThan(20)
    // Large events are read a few at a time.
    expect(Math.max(...read.mock.calls.slice(1).map(([, limit]) => limit))).toBeLessThan(50)
  })

  test.each(['cancel', 'abort'])('ends with a client that goes away: %s', async (how) => {
    const { handler, read } = await counted(
      Array.from({ length: 100 }, () => 10),
      'x'.repeat(10_000),
    )
    const controller = new AbortController()
    const reader = (await handler(request(controller.signal))).body!.getReader()
    await reader.read()
    if (how === 'cancel') await reader.cancel()
    else controller.abort(new Error('gone'))
    const calls = read.mock.calls.length
    if (how === 'abort') await expect(reader.read()).rejects.toThrow('gone')
    await new Promise((resolve) => setTimeout(resolve, 0))
    expect(read.mock.calls.length).toBeLessThanOrEqual(calls + 1)
  })

  test('is not begun for a client that is gone', async () => {
    const { handler, read } = await counted([10], 'x')
    const response = await handler(request(AbortSignal.abort(new Error('gone'))))
    await expect(response.text()).rejects.toThrow('gone')
    expect(read).not.toHaveBeenCalled()
  })

  test('whose store fails is cut off', async () => {
    const { store } = await filled([10])
    const failing = new Proxy<LogStore>(store, {
      get: (target, name) =>
        name === 'read'
          ? () => Promise.reject(new Error('disk'))
          : (target[name as 'head'] as () => unknown).bind(target),
    })
    const handler = syncHandler({ open: () => ({ log: serverLog(failing) }) })
    const response = await handler(request())
    expect(response.status).toBe(200)
    await expect(response.text()).rejects.toThrow()
  })
})

describe('hints', () => {
  /** The wake stream of a log whose moves the test makes. */
  async function waking(signal?: AbortSignal, options: { readonly signal?: AbortSignal } = {}) {
    const clock = virtualClock()
    const { log } = served()
    const listeners = new Set<(head: number) => void>()
    const own: ServerLog = {
      ...log,
      subscribe: (listener) => {
        listeners.add(listener)
        return () => listeners.delete(listener)
      },
    }
    const handler = syncHandler({ ...options, clock, open: () => ({ log: own }) })
    const get = (path: string) =>
      handler(new Request(`http://localhost/${path}`, { headers: { 'Tidemark-Sync': '1' }, ...(signal && { signal }) }))
    const response = await get('wake')
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
    const move = (head: number) => {
      for (const listener of listeners) listener(head)
    }
    const next = async () => (await reader.read()).value
    return { clock, log, listeners, get, move, next, reader }
  }

  test('the head at the beginning, then each move, 20 a second at most', async () => {
    const { clock, move, next } = await waking()
    expect(await next()).toBe('data: {"head":0}\n\n')
    for (let head = 1; head <= 10; head += 1) move(head)
    const waiting = next()
    await clock.advance(49)
    move(11)
    await clock.advance(1)
    expect(await waiting).toBe('data: {"head":11}\n\n')
    // A head that went back is a move as well.
    move(3)
    await clock.advance(50)
    expect(await next()).toBe('data: {"head":3}\n\n')
    await clock.advance(1000)
    move(4)
    expect(await next()).toBe('data: {"head":4}\n\n')
  })

  test('N133: each head is said once, however often and late the store says it', async () => {
    const { clock, log, move, next } = await waking()
    expect(await next()).toBe('data: {"head":0}\n\n')
    const push = async (from: number, count: number) =>
      await log.push({ commits: [{ events: manyEvents(count, 0, from) }] }, { author: '' })
    await push(0, 1)
    // Of this process, and of the notification of it that comes from the database.
    move(1)
    move(1)
    await clock.advance(50)
    expect(await next()).toBe('data: {"head":1}\n\n')
    move(1)
    await clock.advance(50)
    await push(1, 2)
    for (const head of [2, 3, 2, 3]) move(head)
    expect(await next()).toBe('data: {"head":2}\n\n')
    await clock.advance(50)
    expect(await next()).toBe('data: {"head":3}\n\n')
    for (const head of [2, 3]) {
      // A move that comes late is no head that went back.
      move(head)
      await clock.advance(50)
    }
    await push(3, 1)
    move(4)
    expect(await next()).toBe('data: {"head":4}\n\n')
  })

  test('N139: they end, and no others begin, when the signal of the handler aborts', async () => {
    const stop = new AbortController()
    const { clock, listeners, get, next } = await waking(undefined, { signal: stop.signal })
    await next()
    const second = await get('wake')
    stop.abort()
    expect(await next()).toBeUndefined()
    expect(await second.text()).toBe('data: {"head":0}\n\n')
    expect(listeners.size).toBe(0)
    await clock.advance(60_000)
    const refused = await get('wake')
    expect([refused.status, refused.headers.get('Retry-After')]).toEqual([503, null])
    expect((await get('info')).status).toBe(200)
  })

  /** The stream of a client that asks for events with the hints; `session` is what `open` says from then on. */
  async function telling(path = 'wake?events=1') {
    const clock = virtualClock()
    const { store, log } = await filled([2])
    const session: { author: string; response?: Response; fails?: boolean; waits?: Promise<Response> } = {
      author: 'anna',
    }
    let opened = 0
    const handler = syncHandler({
      clock,
      onError: () => {},
      open() {
        opened += 1
        if (session.fails === true) throw new Error('no database')
        return session.waits ?? session.response ?? { log, author: session.author }
      },
    })
    const get = (path: string) =>
      handler(new Request(`http://localhost/${path}`, { headers: { 'Tidemark-Sync': '1' } }))
    const reader = (await get(path)).body!.pipeThrough(new TextDecoderStream()).getReader()
    /** The next hint; nothing at the end. */
    const next = async () => {
      const text = (await reader.read()).value
      if (text === undefined) return undefined
      expect(text).toMatch(/^data: .*\n\n$/)
      return JSON.parse(text.slice(6)) as { head: number; chain?: string; lines?: Record<string, unknown>[] }
    }
    let pushed = 2
    /** Moves the head, and waits until the next hint may be sent. */
    const push = async (count: number, data?: unknown) => {
      await log.push({ commits: [{ events: manyEvents(count, data, pushed) }] }, { author: '' })
      pushed += count
      await clock.advance(50)
    }
    return { clock, store, log, session, next, push, get, opened: () => opened }
  }

  test('N99: bring what came since the hint before, as it is pulled from there', async () => {
    const { log, next, push, get, opened } = await telling()
    expect(await next()).toEqual({ head: 2 })
    for (const [after, count] of [
      [2, 1],
      [3, 12],
    ] as const) {
      const before = opened()
      await push(count)
      const { head, chain, lines } = (await next())!
      expect(head).toBe(after + count)
      expect(opened()).toBe(before + 1)
      const [, last] = linesOf(await textOf(await log.pull({ after: 0, limit: after }))).filter(
        (line) => 'scannedTo' in line || 'tidemark' in line,
      )
      expect(last).toEqual({ scannedTo: after, chain })
      expect(lines).toEqual(linesOf(await (await get(`pull?after=${after}&chain=${chain}`)).text()))
    }
  })

  test('N99: say the head alone where that is long, was not asked for, or where the session may not read any more', async () => {
    const long = await telling()
    await long.next()
    await long.push(1, 'x'.repeat(17_000))
    expect(await long.next()).toEqual({ head: 3 })
    await long.push(1)
    expect(await long.next()).toMatchObject({ head: 4, lines: { length: 3 } })
    const plain = await telling('wake')
    await plain.next()
    await plain.push(1)
    expect(await plain.next()).toEqual({ head: 3 })
    const { session, next, push } = await telling()
    await next()
    for (const change of [{ author: 5 as never }, { fails: true }]) {
      Object.assign(session, { author: 'anna', fails: false }, change)
      await push(1)
      expect(Object.keys((await next())!)).toEqual(['head'])
    }
    Object.assign(session, { author: 'anna', fails: false })
    await push(1)
    expect(await next()).toMatchObject({ head: 5, lines: { length: 3 } })
  })

  test.each(['wake', 'wake?events=1'])(
    'N138: of %s end before the next one when the session may not read any more',
    async (path) => {
      for (const change of [{ response: new Response(null, { status: 401 }) }, { author: 'bert' }]) {
        const { session, next, push, log } = await telling(path)
        await next()
        await push(1)
        expect(await next()).toMatchObject({ head: 3 })
        Object.assign(session, change)
        await push(1)
        expect(await next()).toBeUndefined()
        expect((await log.info()).head).toBe(4)
      }
    },
  )

  test('N138: a session whose end is known late gets the hint that did not wait for it, and no other one', async () => {
    const { clock, session, next, push } = await telling()
    await next()
    let end = (_: Response) => {}
    session.waits = new Promise((resolve) => (end = resolve))
    await push(1)
    await clock.advance(1000)
    expect(await next()).toEqual({ head: 3 })
    end(new Response(null, { status: 401 }))
    expect(await next()).toBeUndefined()
  })

  test('N99: do not wait for a session that takes long, which is not asked about again meanwhile', async () => {
    const { clock, session, next, push, opened } = await telling()
    await next()
    let end = (_: Response) => {}
    session.waits = new Promise((resolve) => (end = resolve))
    await push(1)
    await clock.advance(999)
    expect(opened()).toBe(2)
    const late = next()
    await clock.advance(1)
    expect(await late).toEqual({ head: 3 })
    await push(1)
    expect(await next()).toEqual({ head: 4 })
    expect(opened()).toBe(2)
    end(undefined as never)
    delete session.waits
    await push(1)
    expect(await next()).toMatchObject({ head: 5, lines: { length: 3 } })
  })

  test('N99: what could not be read is read again for the next one who asks', async () => {
    const { store, log } = await filled([1, 1])
    vi.spyOn(store, 'read').mockRejectedValueOnce(new Error('no database'))
    await expect(log.tail?.(1)).rejects.toThrow('no database')
    expect(await log.tail?.(1)).toMatchObject({ head: 2, lines: { length: 3 } })
  })

  test('N99: what many listen to is read once', async () => {
    const { store, log } = await filled([2])
    const read = vi.spyOn(store, 'read')
    const clock = virtualClock()
    const handler = syncHandler({ clock, open: () => ({ log }) })
    const readers = await Promise.all(
      Array.from({ length: 5 }, async () =>
        (await handler(new Request('http://localhost/wake?events=1', { headers: { 'Tidemark-Sync': '1' } })))
          .body!.pipeThrough(new TextDecoderStream())
          .getReader(),
      ),
    )
    for (const reader of readers) await reader.read()
    await log.push({ commits: [{ events: manyEvents(1, 0, 2) }] }, { author: '' })
    await clock.advance(50)
    const hints = await Promise.all(readers.map((reader) => reader.read()))
    expect(new Set(hints.map(({ value }) => value)).size).toBe(1)
    expect(hints[0]?.value).toContain('"lines"')
    expect(read).toHaveBeenCalledTimes(1)
  })

  test('a comment after 25 s of rest', async () => {
    const { clock, move, next } = await waking()
    await next()
    await clock.advance(24_000)
    move(1)
    expect(await next()).toBe('data: {"head":1}\n\n')
    const waiting = next()
    await clock.advance(24_999)
    await clock.advance(1)
    expect(await waiting).toBe(': \n\n')
    await clock.advance(25_000)
    expect(await next()).toBe(': \n\n')
  })

  test('what a client does not take is not piled up', async () => {
    const { clock, move, next } = await waking()
    for (let head = 1; head <= 1000; head += 1) {
      move(head)
      await clock.advance(50)
    }
    await clock.advance(10 * 25_000)
    const seen: (string | undefined)[] = []
    while (!seen.at(-1)?.includes('1000')) seen.push(await next())
    expect(seen.length).toBeLessThan(6)
  })

  test.each(['cancel', 'abort'])('end with the client, and leave nothing behind: %s', async (how) => {
    const controller = new AbortController()
    const { clock, listeners, next, reader } = await waking(controller.signal)
    await next()
    expect([listeners.size, clock.pending]).toEqual([1, 2])
    if (how === 'cancel') await reader.cancel()
    else {
      controller.abort()
      expect(await reader.read()).toEqual({ done: true, value: undefined })
    }
    expect([listeners.size, clock.pending]).toEqual([0, 0])
  })

  test.each([
    ['what goes with it', 1],
    ['where the log is', -1],
  ])('leave nothing behind while %s is asked', async (_, by) => {
    const clock = virtualClock()
    const { store, log } = await filled([2])
    let tell = (_: number) => {}
    const own: ServerLog = { ...log, subscribe: (listener) => ((tell = listener), () => {}) }
    const response = await syncHandler({ clock, open: () => ({ log: own }) })(
      new Request('http://localhost/wake?events=1', { headers: { 'Tidemark-Sync': '1' } }),
    )
    const reader = response.body!.getReader()
    await reader.read()
    await clock.advance(50)
    let [isRead, end] = [false, () => {}]
    vi.spyOn(store, 'head').mockImplementation(async () => {
      isRead = true
      await new Promise<void>((resolve) => (end = resolve))
      return 3
    })
    tell(2 + by)
    await expect.poll(() => isRead).toBe(true)
    await reader.cancel()
    expect(clock.pending).toBe(0)
    end()
    await new Promise(setImmediate)
    expect(clock.pending).toBe(0)
  })

  test('are not begun for a client that is gone', async () => {
    const { clock, listeners } = await waking(AbortSignal.abort())
    expect([listeners.size, clock.pending]).toEqual([0, 0])
  })
})
