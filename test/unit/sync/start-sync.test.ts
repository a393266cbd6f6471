// A device and a server in memory, on a virtual clock: what a person, a network and a server may do to them.
import { afterEach, describe, expect, test, vi } from 'vitest'
import { testSyncServer, virtualClock, type TestSyncServer, type VirtualClock } from 'tidemark/testing'
import { EventUnreadableError, UnsupportedFormatError } from '../../../src/errors.js'
import { syncLock } from '../../../src/sync/sync-leadership.js'
import { startSync, type StartSyncOptions, type SyncHandle } from '../../../src/sync/start-sync.js'
import { syncOnce } from '../../../src/sync/sync-once.js'
import { syncParts, type SyncParts } from '../../../src/sync/sync-parts.js'
import type { SyncStatus } from '../../../src/sync/sync-status.js'
import { Device, type DeviceOptions } from '../../support/synced-device.js'

const handles: SyncHandle[] = []
const worlds: World[] = []

interface World {
  readonly clock: VirtualClock
  readonly server: TestSyncServer
  device(more?: Partial<DeviceOptions>): Device
  start(device: Device, options?: StartSyncOptions, more?: Partial<SyncParts>): SyncHandle
  /** Appends as another device. */
  foreign(count?: number): Promise<void>
  /** Lets the time pass. */
  pass(ms: number): Promise<void>
}

function world(): World {
  const clock = virtualClock({ start: Date.UTC(2026, 0, 1), seed: worlds.length + 1 })
  const server = testSyncServer({ clock, log: 'log-1' })
  const it: World = {
    clock,
    server,
    device: (more = {}) => new Device({ clock, remote: { url: server.url, fetch: server.fetch }, ...more }),
    start(device, options, more) {
      const handle = startSync(device.tab(more), options)
      handles.push(handle)
      return handle
    },
    async foreign(count = 1) {
      for (let each = 0; each < count; each += 1)
        await server.append([{ stream: 'foreign', type: 'Added', data: each }])
    },
    pass: (ms) => clock.advance(ms),
  }
  worlds.push(it)
  return it
}

afterEach(async () => {
  for (const { stop } of handles.splice(0)) await stop()
  // Nothing waits any more, and no listener was left behind.
  for (const { clock } of worlds.splice(0)) expect(clock.pending).toBe(0)
})

const shown = ({ status }: SyncHandle): SyncStatus => status.getSnapshot()
const served = ({ server }: World, name: string): number => server.requests.filter((each) => each.name === name).length

/** The server as one device reaches it, and how often that one pulled. */
function countingPulls({ server }: World, rewrite = (url: string) => url) {
  let count = 0
  const fetch: typeof globalThis.fetch = (input, init) => {
    const url = String(input)
    if (url.includes('/pull?')) count += 1
    return server.fetch(rewrite(url), init)
  }
  return { fetch, pulls: () => count }
}

/** Lines of a page with another first one. */
const with0 = (lines: unknown, change: object): unknown[] => {
  const [header, ...rest] = lines as unknown[]
  return [{ ...(header as object), ...change }, ...rest]
}

describe('a device', () => {
  test('sends what it has, fetches what there is, and then does nothing for a minute', async () => {
    const it = world()
    await it.foreign(3)
    const device = it.device()
    const [own] = await device.append('a')
    const sync = it.start(device)
    expect(shown(sync)).toMatchObject({ status: 'following', cursor: 0 })
    await it.pass(1)
    expect(shown(sync)).toMatchObject({
      status: 'idle',
      cursor: 4,
      head: 4,
      pending: 0,
      lastContact: it.clock.now() - 1,
    })
    expect(device.ids()).toHaveLength(4)
    expect(device.ids().at(-1)).toBe(own)
    const before = it.server.requests.length
    await it.pass(50_000)
    expect(it.server.requests.length).toBe(before)
    await it.pass(15_000)
    expect(it.server.requests.length).toBe(before + 1)
  })

  test('sends its own appends in a moment, a burst of them together', async () => {
    const it = world()
    const device = it.device()
    const sync = it.start(device)
    await it.pass(1)
    await device.append(['a', 'b', 'c', 'd', 'e'])
    await it.pass(5)
    expect((await it.server.log()).map(({ stream }) => stream)).toEqual(['a', 'b', 'c', 'd', 'e'])
    expect(served(it, 'push')).toBe(1)
    expect(shown(sync)).toMatchObject({ status: 'idle', cursor: 5, pending: 0 })
    expect(await device.pending()).toEqual([])
  })

  test('hears of others by the stream of hints, which brings what is short', async () => {
    const it = world()
    const { fetch, pulls } = countingPulls(it)
    const [one, two] = [it.device(), it.device({ remote: { url: it.server.url, fetch } })]
    it.start(one)
    const sync = it.start(two)
    await it.pass(1)
    const before = pulls()
    for (const stream of ['a', 'b']) {
      await one.append(stream)
      await it.pass(300)
    }
    expect(two.ids()).toEqual(one.ids())
    expect(two.ids()).toHaveLength(2)
    expect(shown(sync)).toMatchObject({ cursor: 2, status: 'idle' })
    expect(pulls()).toBe(before)
  })

  test('asks where a hint says the head alone', async () => {
    const it = world()
    const { fetch, pulls } = countingPulls(it, (url) => url.replace('/wake?events=1', '/wake'))
    const [one, two] = [it.device(), it.device({ remote: { url: it.server.url, fetch } })]
    it.start(one)
    const sync = it.start(two)
    await it.pass(1)
    const before = pulls()
    await one.append('a')
    await it.pass(300)
    expect(two.ids()).toEqual(one.ids())
    expect(shown(sync)).toMatchObject({ cursor: 1, status: 'idle' })
    expect(pulls()).toBe(before + 1)
  })

  test.each<[what: string, (hint: Record<string, unknown>) => unknown]>([
    ['is of another history', (hint) => ({ ...hint, chain: 'x' })],
    ['leaves out a line', ({ lines, ...hint }) => ({ ...hint, lines: (lines as unknown[]).slice(0, -1) })],
    ['is of another epoch', ({ lines, ...hint }) => ({ ...hint, lines: with0(lines, { epoch: 'x' }) })],
    ['begins elsewhere', ({ lines, ...hint }) => ({ ...hint, lines: with0(lines, { after: 7 }) })],
    ['holds nonsense', (hint) => ({ ...hint, lines: [null, 5] })],
  ])('a page with a hint that %s is not used: the server is asked', async (_, forge) => {
    const it = world()
    let forged = 0
    const { fetch, pulls } = countingPulls(it)
    const forging: typeof globalThis.fetch = async (input, init) => {
      const response = await fetch(input, init)
      if (!String(input).includes('/wake') || response.body === null) return response
      const rewrite = new TransformStream<string, string>({
        transform(text, controller) {
          const hint = text.startsWith('data:') ? (JSON.parse(text.slice(5)) as Record<string, unknown>) : {}
          if (!('lines' in hint)) return controller.enqueue(text)
          forged += 1
          controller.enqueue(`data: ${JSON.stringify(forge(hint))}\n\n`)
        },
      })
      const body = response.body
        .pipeThrough(new TextDecoderStream())
        .pipeThrough(rewrite)
        .pipeThrough(new TextEncoderStream())
      return new Response(body, response)
    }
    const [one, two] = [it.device(), it.device({ remote: { url: it.server.url, fetch: forging } })]
    it.start(one)
    const sync = it.start(two)
    await it.pass(1)
    const before = pulls()
    await one.append('a')
    await it.pass(300)
    expect(forged).toBe(1)
    expect(two.ids()).toEqual(one.ids())
    expect(shown(sync)).toMatchObject({ cursor: 1, status: 'idle' })
    expect(pulls()).toBe(before + 1)
  })

  test('without the stream it finds them within a minute', async () => {
    const it = world()
    const device = it.device()
    const sync = it.start(device, { wake: 'poll' })
    await it.pass(1)
    await it.foreign()
    await it.pass(30_000)
    expect(device.ids()).toEqual([])
    await it.pass(31_000)
    expect(device.ids()).toHaveLength(1)
    expect(served(it, 'wake')).toBe(0)
    expect(shown(sync).cursor).toBe(1)
  })

  test('without the stream all the same: the status says that, in every tab', async () => {
    const it = world()
    const device = it.device()
    const [sync, other] = [it.start(device), it.start(device)]
    await it.pass(100)
    expect([shown(sync), shown(other)]).toMatchObject([
      { status: 'idle', wake: 'open' },
      { status: 'idle', wake: 'open' },
    ])
    it.server.fail({ status: 502, on: 'wake' })
    // The stream that is open ends.
    it.server.partition('down')
    await it.pass(1)
    it.server.partition()
    await it.pass(35_000)
    expect([shown(sync), shown(other)]).toMatchObject([
      { status: 'idle', wake: 'closed' },
      { status: 'idle', wake: 'closed' },
    ])
    it.server.fail()
    await it.pass(31_000)
    expect(shown(sync)).toMatchObject({ status: 'idle', wake: 'open' })
    await Promise.all([sync.pause(), it.pass(1)])
    expect('wake' in shown(sync)).toBe(false)
  })

  test('a proxy that keeps what the server sends: the stream is open, and yet it is not', async () => {
    const it = world()
    const buffered: typeof globalThis.fetch = async (input, init) => {
      const response = await it.server.fetch(input, init)
      if (!String(input).includes('/wake')) return response
      return new Response(new ReadableStream(), { headers: response.headers })
    }
    const device = it.device({ remote: { url: it.server.url, fetch: buffered } })
    const sync = it.start(device)
    await it.pass(1_000)
    expect(shown(sync)).toMatchObject({ status: 'idle' })
    expect(shown(sync).wake).toBeUndefined()
    await it.pass(62_000)
    expect(shown(sync)).toMatchObject({ status: 'idle', wake: 'closed' })
    expect('wake' in shown(it.start(it.device(), { wake: 'poll' }))).toBe(false)
  })

  test('a stream of hints that ends is opened again, and says what was missed', async () => {
    const it = world()
    const device = it.device()
    it.start(device)
    await it.pass(1)
    it.server.partition('down')
    await it.foreign()
    it.server.partition()
    await it.pass(31_000)
    expect(device.ids()).toHaveLength(1)
    expect(served(it, 'wake')).toBe(2)
  })

  test('a stream of hints that ended is opened again with the next round that is asked for, not after its pause', async () => {
    const it = world()
    const device = it.device()
    const sync = it.start(device)
    await it.pass(100)
    it.server.partition('both')
    it.server.partition()
    await it.pass(0)
    await it.foreign()
    await Promise.all([sync.now(), it.pass(200)])
    expect(served(it, 'wake')).toBe(2)
    // Heard of by the stream alone.
    await it.foreign()
    await it.pass(200)
    expect(shown(sync)).toMatchObject({ status: 'idle', cursor: 2 })
    // One that is open stays so.
    await Promise.all([sync.now(), it.pass(200)])
    expect(served(it, 'wake')).toBe(2)
  })

  test('a restored server is noticed when the stream of hints is opened again', async () => {
    const it = world()
    const device = it.device()
    it.start(device)
    await it.pass(100)
    const backup = it.server.backup()
    const ids = await device.append('s')
    await it.pass(100)
    expect(await it.server.log()).toHaveLength(1)
    it.server.restore(backup)
    expect(await it.server.log()).toHaveLength(0)
    // The next look without a reason would be after a minute.
    await it.pass(31_000)
    expect((await it.server.log()).map(({ id }) => id)).toEqual(ids)
  })

  test('a status that says the same is the same object', async () => {
    const it = world()
    const device = it.device()
    const sync = it.start(device)
    await it.pass(1)
    const before = shown(sync)
    let calls = 0
    sync.status.subscribe(() => (calls += 1))
    await it.pass(30_000)
    expect(shown(sync)).toBe(before)
    expect(calls).toBe(0)
  })
})

describe('a server that is not there', () => {
  test('N67: is tried again at growing pauses, by chance, and immediately when asked', async () => {
    const it = world()
    const device = it.device()
    const sync = it.start(device)
    await it.pass(1)
    it.server.partition('both')
    await device.append('a')
    await it.pass(10)
    expect(shown(sync)).toMatchObject({ status: 'offline', pending: 1 })
    await it.pass(600_000)
    const { nextTry, status } = shown(sync)
    expect(status).toBe('offline')
    expect(nextTry! - it.clock.now()).toBeGreaterThan(-1)
    expect(nextTry! - it.clock.now()).toBeLessThanOrEqual(60_000)
    it.server.partition()
    const now = await it.clock.runUntil(sync.now())
    expect(now).toMatchObject({ status: 'idle', pending: 0 })
    expect(now).not.toHaveProperty('nextTry')
    expect(await it.server.log()).toHaveLength(1)
  })

  test('of which the responses are lost: nothing is stored twice', async () => {
    const it = world()
    const device = it.device()
    const sync = it.start(device)
    await it.pass(1)
    it.server.partition('down')
    await device.append(['a', 'b'])
    await it.pass(120_000)
    expect(await it.server.log()).toHaveLength(2)
    expect(shown(sync)).toMatchObject({ status: 'offline', pending: 2 })
    it.server.partition()
    await it.pass(61_000)
    expect(await it.server.log()).toHaveLength(2)
    expect(shown(sync)).toMatchObject({ status: 'idle', pending: 0, cursor: 2 })
    expect(device.ids()).toHaveLength(2)
  })

  test('N65: in a hotel: a page with 200 is no server', async () => {
    const it = world()
    const device = it.device()
    const sync = it.start(device)
    await it.pass(1)
    await device.append('a')
    it.server.fail({ status: 200, body: '<html>Welcome</html>' })
    await it.pass(10_000)
    expect(shown(sync)).toMatchObject({ status: 'offline', pending: 1 })
    it.server.fail()
    await it.pass(61_000)
    expect(shown(sync)).toMatchObject({ status: 'idle', pending: 0 })
  })

  test.each(['with another epoch', 'as it was'])(
    'N65: a dead server behind a proxy, back %s: tried at once',
    async (how) => {
      for (const status of [502, 503, 504]) {
        const it = world()
        const device = it.device()
        const sync = it.start(device)
        await it.pass(1)
        it.server.fail({ status, body: '<html>No upstream</html>' })
        // The stream that is open ends.
        if (how === 'as it was') it.server.partition('down')
        else it.server.restart()
        await it.pass(1)
        it.server.partition()
        await device.append('a')
        await it.pass(300_000)
        expect(shown(sync)).toMatchObject({ status: 'offline', pending: 1 })
        it.server.fail()
        const before = served(it, 'wake')
        while (served(it, 'wake') === before && shown(sync).pending > 0) await it.pass(200)
        expect(shown(sync)).toMatchObject({ status: 'idle', pending: 0 })
      }
    },
  )

  test('that is silent is given up, and what it did is found again', async () => {
    const it = world()
    const device = it.device()
    it.server.latency(40_000)
    const sync = it.start(device)
    await it.pass(31_000)
    expect(shown(sync).status).toBe('offline')
    it.server.latency(0)
    await it.pass(61_000)
    expect(shown(sync).status).toBe('idle')
  })

  test('a page that is cut off anywhere makes its way all the same', async () => {
    const it = world()
    await it.foreign(300)
    const device = it.device()
    const connection = it.server.connection()
    connection.cut(6_000)
    const sync = it.start(device, {}, { remote: { url: it.server.url, fetch: connection.fetch } })
    await it.pass(3_600_000)
    expect(shown(sync)).toMatchObject({ cursor: 300 })
    expect(device.ids()).toHaveLength(300)
  })
})

describe('a server that says', () => {
  test('busy: it waits as long as it is told', async () => {
    const it = world()
    const device = it.device()
    const sync = it.start(device)
    await it.pass(1)
    it.server.fail({ status: 429, headers: { 'Retry-After': '120' } })
    await device.append('a')
    await it.pass(10)
    expect(shown(sync)).toMatchObject({ status: 'waiting', nextTry: it.clock.now() + 120_000 - 10 })
    expect(shown(sync).message).toMatch(/\w/)
    const before = it.server.requests.filter(({ name }) => name !== 'wake').length
    await device.append('b')
    await it.pass(119_000)
    expect(it.server.requests.filter(({ name }) => name !== 'wake').length).toBe(before)
    it.server.fail()
    await it.pass(1_000)
    expect(shown(sync)).toMatchObject({ status: 'idle', pending: 0 })
  })

  test('401 for days: appends go on, nothing is asked, and a new sign-in sends all', async () => {
    const it = world()
    let isSignedIn = true
    const server = testSyncServer({
      clock: it.clock,
      author: (request) =>
        request.headers.get('Authorization') === 'Bearer good' ? 'anna' : new Response(null, { status: 401 }),
    })
    let asked = 0
    const headers = () => {
      asked += 1
      return { Authorization: isSignedIn ? 'Bearer good' : 'Bearer old' }
    }
    const device = it.device({ remote: { url: server.url, fetch: server.fetch, headers } })
    const sync = it.start(device)
    await it.pass(1)
    expect(shown(sync).status).toBe('idle')
    isSignedIn = false
    await device.append('a')
    await it.pass(10)
    expect(shown(sync)).toMatchObject({ status: 'paused', reason: 'unauthorized', pending: 1 })
    const before = asked
    for (let day = 0; day < 3; day += 1) {
      await device.append('a')
      await it.pass(86_400_000)
    }
    expect(asked).toBe(before)
    expect((await device.pending()).length).toBe(4)
    await it.clock.runUntil(sync.resume())
    await it.pass(10)
    expect(shown(sync)).toMatchObject({ status: 'paused', reason: 'unauthorized' })
    isSignedIn = true
    await it.clock.runUntil(sync.resume())
    await it.pass(10)
    expect(shown(sync)).toMatchObject({ status: 'idle', pending: 0 })
    expect(await server.log()).toHaveLength(4)
  })

  test.each<[status: number, code: string | undefined, reason: string]>([
    [403, undefined, 'forbidden'],
    [409, 'other-log', 'other-log'],
    [409, 'other-author', 'other-author'],
    [409, 'scope-changed', 'scope-changed'],
    [410, 'before-first', 'before-first'],
    [426, undefined, 'newer-protocol'],
    [400, undefined, 'bad-request'],
    [415, undefined, 'bad-request'],
    [422, undefined, 'bad-request'],
  ])('N67: %i %s: it stops with the reason, loses nothing, and goes on when asked', async (status, code, reason) => {
    const it = world()
    const device = it.device()
    const sync = it.start(device)
    await it.pass(1)
    it.server.fail({ status, ...(code !== undefined && { code }) })
    await device.append('a')
    await it.pass(10)
    expect(shown(sync)).toMatchObject({ status: 'stopped', reason, pending: 1 })
    const before = it.server.requests.length
    await it.pass(600_000)
    expect(it.server.requests.length).toBe(before)
    it.server.fail()
    await it.clock.runUntil(sync.resume())
    await it.pass(10)
    expect(shown(sync)).toMatchObject({ status: 'idle', pending: 0 })
    expect(shown(sync)).not.toHaveProperty('reason')
  })

  test('413: half as much, and a single commit that is too large is refused', async () => {
    const it = world()
    const device = it.device()
    const sync = it.start(device)
    await it.pass(1)
    it.server.fail({ status: 413, on: 'push', times: 2 })
    await device.append(['a', 'b', 'c', 'd'])
    await it.pass(10)
    expect(shown(sync)).toMatchObject({ status: 'idle', pending: 0, refused: 0, cursor: 4 })
    it.server.fail({ status: 413, on: 'push', times: 1 })
    await device.append('e')
    await it.pass(10)
    expect(shown(sync)).toMatchObject({ pending: 0, refused: 1 })
    expect((await device.refused())[0]?.refused?.code).toBe('too-large')
  })

  test.each([404, 200])(
    'a wrong address, or a login page (%i): offline, with a reason, until the server responds',
    async (status) => {
      const warned = vi.spyOn(console, 'warn').mockImplementation(() => {})
      const it = world()
      let isWrong = true
      const url = `https://wrong-${status}.test/logs/a`
      const fetch: typeof globalThis.fetch = async (input, init) =>
        isWrong
          ? new Response('<html>', { status, headers: { 'Content-Type': 'text/html' } })
          : it.server.fetch(String(input).replace(url, it.server.url), init)
      const device = it.device({ remote: { url, fetch } })
      const sync = it.start(device)
      await device.append('a')
      await it.pass(600_000)
      expect(shown(sync)).toMatchObject({ status: 'offline', reason: 'foreign-response', pending: 1, refused: 0 })
      expect(shown(sync).message).toContain(`${url} is not a tidemark server`)
      // Once, however often it was tried.
      expect(warned.mock.calls.map(String)).toEqual([expect.stringContaining(url)])
      warned.mockRestore()
      isWrong = false
      await it.pass(60_000)
      expect(shown(sync)).toMatchObject({ status: 'idle', pending: 0 })
      expect(shown(sync)).not.toHaveProperty('reason')
    },
  )

  test('a login page in front of a server that is known is not warned of', async () => {
    const warned = vi.spyOn(console, 'warn').mockImplementation(() => {})
    const it = world()
    const sync = it.start(it.device())
    await it.pass(1)
    it.server.fail({ status: 200, body: '<html>Welcome to the hotel</html>' })
    await it.clock.runUntil(sync.now())
    await it.pass(600_000)
    expect(shown(sync)).toMatchObject({ status: 'offline', reason: 'foreign-response' })
    expect(warned).not.toHaveBeenCalled()
    warned.mockRestore()
  })

  test('a proxy in front that takes smaller bodies: half as much, and nothing is refused because of it', async () => {
    const it = world()
    const device = it.device()
    const sync = it.start(device)
    await it.pass(1)
    const proxy = { status: 413, body: '<html>Request Entity Too Large</html>', on: 'push' } as const
    it.server.fail({ ...proxy, times: 2 })
    await device.append(['a', 'b', 'c', 'd'])
    await it.pass(10)
    expect(shown(sync)).toMatchObject({ status: 'idle', pending: 0, refused: 0, cursor: 4 })
    it.server.fail(proxy)
    await device.append('e')
    await it.pass(5)
    expect(shown(sync)).toMatchObject({ status: 'waiting', pending: 1, refused: 0 })
    it.server.fail()
    await it.pass(60_000)
    expect(shown(sync)).toMatchObject({ status: 'idle', pending: 0, refused: 0, cursor: 5 })
  })

  test('no to one commit: the others go on, and what was decided on it does not', async () => {
    const it = world()
    it.server.refuse((commit) => commit.events.some(({ stream }) => stream === 'bad'))
    const device = it.device()
    const sync = it.start(device)
    await it.pass(1)
    const [first] = await device.append('bad')
    await device.append('bad', { expect: [['bad', first!]] })
    await device.append(['good', 'better'])
    await it.pass(10)
    expect(shown(sync)).toMatchObject({ status: 'idle', pending: 0, refused: 2, cursor: 2 })
    expect((await it.server.log()).map(({ stream }) => stream)).toEqual(['good', 'better'])
    expect((await device.refused()).map(({ refused }) => refused?.code)).toEqual(['refused', 'blocked'])
  })

  test('busy to pushes alone: what others did arrives all the same', async () => {
    const it = world()
    const device = it.device()
    const sync = it.start(device)
    await it.pass(1)
    it.server.fail({ status: 503, on: 'push' })
    await device.append('a')
    await it.pass(10)
    await it.foreign()
    await it.pass(10_000)
    expect(shown(sync)).toMatchObject({ status: 'waiting', pending: 1, cursor: 1 })
    it.server.fail()
    await it.pass(60_000)
    expect(shown(sync)).toMatchObject({ status: 'idle', pending: 0, cursor: 2 })
  })

  test('N54: that it cannot decide about one commit: no other one waits, and the status says so', async () => {
    const errors = vi.spyOn(console, 'error').mockImplementation(() => {})
    const it = world()
    const device = it.device()
    const sync = it.start(device)
    await it.pass(1)
    let isBroken = true
    it.server.refuse(({ events }) => {
      if (isBroken && events[0]!.stream === 'poison') throw new Error('the rule has a bug')
      return false
    })
    // Alone, nobody can tell whether it is the commit or the server: the pause is that of a busy server.
    await device.append('poison')
    await it.pass(10)
    expect(shown(sync)).toMatchObject({ status: 'waiting', pending: 1, behind: 0 })
    expect(shown(sync).message).toMatch(/\w/)
    await device.append('good')
    await it.pass(60_000)
    expect(shown(sync)).toMatchObject({
      status: 'waiting',
      pending: 1,
      behind: 1,
      message: expect.stringMatching(/\w/),
    })
    expect(shown(sync).nextTry).toBeGreaterThan(it.clock.now())
    expect((await it.server.log()).map(({ stream }) => stream)).toEqual(['good'])
    // From now on it holds up nothing at all.
    const pushes = served(it, 'push')
    await device.append('better')
    await it.pass(20)
    expect((await it.server.log()).map(({ stream }) => stream)).toEqual(['good', 'better'])
    expect(served(it, 'push')).toBe(pushes + 1)
    expect(shown(sync)).toMatchObject({ status: 'waiting', pending: 1, behind: 1 })
    isBroken = false
    // It is tried within a minute, also while the app appends without a pause.
    for (let at = 0; at < 7; at += 1) {
      await device.append(`more-${at}`)
      await it.pass(10_000)
    }
    expect(shown(sync)).toMatchObject({ status: 'idle', pending: 0, behind: 0 })
    expect(shown(sync).message).toBeUndefined()
    expect((await it.server.log()).map(({ stream }) => stream)).toContain('poison')
    errors.mockRestore()
  })

  test('busy for long to what waits anyway: then all of it waits as long as it is told', async () => {
    const it = world()
    const device = it.device()
    const sync = it.start(device)
    await it.pass(1)
    it.server.refuse(({ events }) => {
      if (events[0]!.stream === 'poison') throw new Error('the rule has a bug')
      return false
    })
    const errors = vi.spyOn(console, 'error').mockImplementation(() => {})
    await device.append('poison')
    await device.append('good')
    await it.pass(10)
    expect(shown(sync)).toMatchObject({ pending: 1, behind: 1 })
    it.server.fail({ status: 429, headers: { 'Retry-After': '600' }, on: 'push' })
    await it.pass(70_000)
    it.server.fail()
    await device.append('better')
    await it.pass(300_000)
    expect((await it.server.log()).map(({ stream }) => stream)).toEqual(['good'])
    await it.pass(300_000)
    expect((await it.server.log()).map(({ stream }) => stream)).toEqual(['good', 'better'])
    errors.mockRestore()
  })

  test('another epoch: it fetches before it sends, and goes on', async () => {
    const it = world()
    const device = it.device()
    const sync = it.start(device)
    await device.append('a')
    await it.pass(1)
    it.server.restart()
    await device.append('b')
    await it.pass(31_000)
    expect(shown(sync)).toMatchObject({ status: 'idle', pending: 0, cursor: 2 })
    expect(served(it, 'wake')).toBeGreaterThan(1)
  })

  test('it lost what it had: it is given back', async () => {
    const it = world()
    const device = it.device()
    const sync = it.start(device)
    await it.pass(1)
    await device.append('a')
    await it.pass(10)
    const backup = it.server.backup()
    await device.append('b')
    await it.pass(10)
    it.server.restore(backup)
    await it.foreign()
    await it.pass(61_000)
    expect((await it.server.log()).map(({ stream }) => stream)).toEqual(['a', 'foreign', 'b'])
    expect(shown(sync)).toMatchObject({ status: 'idle', pending: 0, cursor: 3 })
    expect(device.ids()).toEqual((await it.server.log()).map(({ id }) => id))
  })

  test('nonsense: it stops, and nothing of it is stored', async () => {
    const it = world()
    const device = it.device()
    // Hints would bring the event.
    const sync = it.start(device, { wake: 'poll' })
    await it.pass(1)
    await it.foreign()
    const { handler } = it.server
    const forged = await handler(new Request(`${it.server.url}/info`, { headers: { 'Tidemark-Sync': '1' } }))
    const headers = {
      'Content-Type': 'application/x-ndjson',
      'Tidemark-Log': forged.headers.get('Tidemark-Log')!,
      'Tidemark-Author': '',
    }
    it.server.fail({ status: 200, on: 'pull', body: '{"tidemark":"nothing"}\n', headers })
    await it.pass(61_000)
    expect(shown(sync)).toMatchObject({ status: 'stopped', reason: 'inconsistent', cursor: 0 })
    it.server.fail()
    await it.clock.runUntil(sync.resync())
    await it.pass(10)
    expect(shown(sync)).toMatchObject({ status: 'idle', cursor: 1 })
  })
})

describe('a first sync', () => {
  test('of many pages says how far it is, and continues where it was stopped', async () => {
    const it = world()
    for (let each = 0; each < 12; each += 1)
      await it.server.append(
        Array.from({ length: 1000 }, (_, index) => ({ stream: `s${each}`, type: 'Added', data: index })),
      )
    const device = it.device()
    const sync = it.start(device)
    const seen: SyncStatus[] = []
    sync.status.subscribe(() => seen.push(shown(sync)))
    it.server.latency(100)
    await it.pass(500)
    await sync.stop()
    const first = (await device.storage.load()).state.cursor.at
    expect(first).toBe(5000)
    expect(seen.find(({ progress }) => progress !== undefined)?.progress).toEqual({ done: 0, total: 12_000 })
    const again = it.start(device)
    await it.pass(3000)
    expect(shown(again)).toMatchObject({ status: 'idle', cursor: 12_000 })
    expect(shown(again)).not.toHaveProperty('progress')
    expect(device.ids()).toEqual((await it.server.log()).map(({ id }) => id))
  })

  test('fetches the next page while this one is stored', async () => {
    const it = world()
    for (let each = 0; each < 11; each += 1)
      await it.server.append(
        Array.from({ length: 1000 }, (_, index) => ({ stream: `s${each}`, type: 'Added', data: index })),
      )
    const device = it.device()
    const { storage } = device
    const change = storage.change.bind(storage)
    const atStore: number[] = []
    storage.change = async (...given) => {
      await new Promise<void>((resolve) => void it.clock.schedule(100, resolve))
      atStore.push(served(it, 'pull'))
      return change(...given)
    }
    it.start(device)
    await it.pass(2000)
    expect(device.ids()).toHaveLength(11_000)
    // After the first contact: at each page, the next one is there already.
    expect(atStore.slice(1, 4)).toEqual([2, 3, 3])
  })

  test('a partition in the middle: it continues behind the last cursor', async () => {
    const it = world()
    for (let each = 0; each < 6; each += 1)
      await it.server.append(
        Array.from({ length: 1000 }, (_, index) => ({ stream: `s${each}`, type: 'Added', data: index })),
      )
    const connection = it.server.connection()
    const device = it.device({ remote: { url: it.server.url, fetch: connection.fetch } })
    connection.cut(400_000)
    const sync = it.start(device)
    await it.pass(1)
    const { cursor } = shown(sync)
    expect(cursor).toBeGreaterThan(0)
    expect(cursor % 1000).toBe(0)
    connection.cut()
    await it.pass(61_000)
    expect(shown(sync)).toMatchObject({ cursor: 6000, status: 'idle' })
  })
})

describe('more than a thousand pending events', () => {
  test('pages with events of others are stored once a second', async () => {
    const it = world()
    const device = it.device()
    const sync = it.start(device)
    await it.pass(1)
    // They wait for an event that no device gives back. In few commits: many are looked through at every step.
    const event = { type: 'Added', stream: 'a', idGiven: true, time: 1, schema: 1, data: '{"a":1}', meta: undefined }
    for (const commit of ['one', 'two'])
      await device.append('a', {
        requires: ['unknown'],
        events: Array.from({ length: 550 }, (_, index) => ({ ...event, id: `${commit}-${index}` })),
      })
    await it.pass(2_000)
    expect(shown(sync)).toMatchObject({ pending: 2 })
    const reached: number[] = []
    sync.status.subscribe(() => reached.push(shown(sync).cursor))
    for (let each = 0; each < 50; each += 1) {
      await it.foreign()
      await it.pass(100)
    }
    expect(shown(sync).cursor).toBeGreaterThan(30)
    expect(new Set(reached).size).toBeLessThan(8)
    await it.pass(2_000)
    expect(shown(sync).cursor).toBe(50)
  })
})

describe('several tabs', () => {
  test('N66: one works, all show the same, and another takes over when it ends', async () => {
    const it = world()
    const device = it.device()
    const one = it.start(device)
    const two = it.start(device)
    await it.pass(20)
    await device.append('a')
    await it.pass(50)
    expect(shown(one)).toMatchObject({ status: 'idle', cursor: 1 })
    expect(shown(two)).toEqual(shown(one))
    expect(served(it, 'info')).toBe(1)
    expect(served(it, 'wake')).toBe(1)
    await one.stop()
    expect(shown(one)).toMatchObject({ status: 'stopped', reason: 'by-hand', cursor: 1 })
    await device.append('b')
    await it.pass(50)
    expect(shown(two)).toMatchObject({ status: 'idle', cursor: 2, pending: 0 })
  })

  test('N66: a leader that does not respond is not waited for, and finds its work done', async () => {
    const it = world()
    const device = it.device()
    // The lock is held, and its holder says nothing.
    const guard = await device.tab()[syncParts].coordinator.tryAcquire(syncLock)
    expect(guard).toBeDefined()
    const sync = it.start(device)
    await device.append('a')
    await it.pass(3_000)
    expect(await it.server.log()).toHaveLength(0)
    await it.pass(15_000)
    expect(await it.server.log()).toHaveLength(1)
    expect(shown(sync)).toMatchObject({ status: 'idle', cursor: 1 })
    guard?.release()
    await device.append('b')
    await it.pass(10)
    expect(shown(sync)).toMatchObject({ status: 'idle', cursor: 2 })
  })

  test('a leader of an older build, which does not know what a newer one stored, lets that one sync', async () => {
    const it = world()
    const device = it.device()
    let isNewer = false
    const { storage } = device
    const known = () => {
      if (isNewer) throw new UnsupportedFormatError('Reload the page.')
      return storage
    }
    const older: SyncParts['storage'] = {
      load: async () => known().load(),
      loadOwn: async (after) => known().loadOwn(after),
      append: async (row, from) => known().append(row, from),
      change: async (...given) => known().change(...given),
      confirmed: (...given) => storage.confirmed(...given),
      facts: (prepared) => storage.facts(prepared),
    }
    const channelName = 'two builds'
    const old = it.start(device, {}, { storage: older, channelName })
    await it.pass(10)
    const next = it.start(device, {}, { channelName })
    await it.pass(10)
    expect(shown(old).status).toBe('idle')
    isNewer = true
    await device.append('a')
    await it.pass(20)
    expect(shown(old)).toMatchObject({ status: 'waiting', reason: 'newer-format' })
    expect(await device.pending()).toHaveLength(1)
    await it.pass(6_000)
    expect(await device.pending()).toEqual([])
    expect(shown(next)).toMatchObject({ status: 'idle', pending: 0 })
    // It does not come back to that while the newer one leads.
    const before = it.server.requests.length
    await it.pass(30_000)
    await device.append('a')
    await it.pass(20)
    expect(await device.pending()).toEqual([])
    expect(it.server.requests.length).toBeLessThan(before + 6)
  })

  test('N111: a leader that cannot read what it must decide over, as a newer build wrote it, lets that one sync', async () => {
    const it = world()
    const device = it.device()
    await it.foreign()
    const old = it.start(
      device,
      {},
      { decide: async () => Promise.reject(new EventUnreadableError(1, 'newer', undefined, true)) },
    )
    await it.pass(10)
    const next = it.start(device, {}, { decide: async () => ({ kind: 'nothing' }) })
    await it.pass(10)
    await device.append('foreign', { expect: [['foreign', null]], command: { name: 'add', args: '[]' } })
    await device.append('other')
    await it.pass(20)
    expect(shown(old)).toMatchObject({ status: 'waiting', reason: 'newer-format', pending: 1, refused: 0 })
    await it.pass(7_000)
    expect(shown(next)).toMatchObject({ status: 'idle', pending: 0, refused: 0 })
    expect(await it.server.log()).toHaveLength(2)
  })

  test.for([true, false])(
    'what keeps a lone leader from deciding again (of a newer build: %s) does not make it ask the server without end',
    async (isNewer) => {
      const it = world()
      const device = it.device()
      await it.foreign()
      const decide = async () => Promise.reject(new EventUnreadableError(1, 'broken', undefined, isNewer))
      const sync = it.start(device, {}, { decide })
      await it.pass(10)
      await device.append('foreign', { expect: [['foreign', null]], command: { name: 'add', args: '[]' } })
      await it.pass(120_000)
      const reason = isNewer ? 'newer-format' : 'storage-failed'
      expect(shown(sync)).toMatchObject({ status: 'waiting', reason, pending: 1 })
      const before = it.server.requests.length
      await it.pass(600_000)
      expect(it.server.requests.length - before).toBeLessThan(60)
    },
  )

  test('a follower asked to sync now does so itself', async () => {
    const it = world()
    const device = it.device()
    it.start(device, { wake: 'poll' })
    await it.pass(1)
    const two = it.start(device, { wake: 'poll' })
    await it.pass(20)
    await it.foreign()
    expect(await it.clock.runUntil(two.now())).toMatchObject({ cursor: 1, status: 'idle' })
    expect(device.ids()).toHaveLength(1)
  })

  test('N67: paused in one, it is paused in all of them, and after a reload', async () => {
    const it = world()
    const device = it.device()
    const one = it.start(device)
    const two = it.start(device)
    await it.pass(20)
    await it.clock.runUntil(two.pause())
    await it.pass(50)
    expect(shown(one)).toMatchObject({ status: 'paused', reason: 'by-hand' })
    expect(shown(two)).toMatchObject({ status: 'paused', reason: 'by-hand' })
    const before = it.server.requests.length
    await device.append('a')
    await it.clock.runUntil(one.now())
    await one.stop()
    await two.stop()
    const three = it.start(device)
    await it.pass(100_000)
    expect(shown(three)).toMatchObject({ status: 'paused', reason: 'by-hand', pending: 1 })
    expect(await syncOnce(device.tab())).toMatchObject({ status: 'paused', reason: 'by-hand' })
    expect(it.server.requests.length).toBe(before)
    await it.clock.runUntil(three.resume())
    await it.pass(10)
    expect(shown(three)).toMatchObject({ status: 'idle', pending: 0 })
  })

  test('a new sign-in in one tab is enough, although another one leads', async () => {
    const it = world()
    const server = testSyncServer({
      clock: it.clock,
      author: (request) =>
        request.headers.get('Authorization') === 'Bearer good' ? 'anna' : new Response(null, { status: 401 }),
    })
    const tokens = ['good', 'good']
    const remote = (tab: number) => ({
      remote: { url: server.url, fetch: server.fetch, headers: () => ({ Authorization: `Bearer ${tokens[tab]}` }) },
    })
    const device = it.device()
    const one = it.start(device, {}, remote(0))
    await it.pass(20)
    const two = it.start(device, {}, remote(1))
    await it.pass(20)
    tokens.fill('old')
    await device.append('a')
    await it.pass(50)
    expect(shown(two)).toMatchObject({ status: 'paused', reason: 'unauthorized' })
    // The tab that leads never learns of it.
    tokens[1] = 'good'
    await it.clock.runUntil(two.resume())
    await it.pass(100)
    expect(await server.log()).toHaveLength(1)
    expect(shown(one)).toMatchObject({ status: 'idle', pending: 0 })
    expect(shown(two)).toEqual(shown(one))
  })

  test('a command that never returns keeps no tab from stopping', async () => {
    const it = world()
    const device = it.device({ decide: () => new Promise(() => {}) })
    await it.foreign()
    await device.append('foreign', { expect: [['foreign', null]], command: { name: 'add', args: '[]' } })
    const sync = it.start(device)
    await it.pass(10)
    expect(shown(sync)).toMatchObject({ status: 'working', pending: 1 })
    await it.clock.runUntil(sync.stop())
    expect((await device.pending())[0]?.undecided?.code).toBe('conflict')
  })

  test('N66: whatever work at the same time, nothing is stored twice', async () => {
    const it = world()
    it.server.latency(7)
    const device = it.device()
    it.start(device)
    for (let round = 0; round < 20; round += 1) {
      await device.append(['a', 'b', 'c'])
      if (round % 3 === 0) await it.foreign()
      const all = Promise.all([syncOnce(device.tab()), syncOnce(device.tab()), syncOnce(device.tab())])
      await it.clock.runUntil(all)
    }
    await it.pass(1_000)
    const log = (await it.server.log()).map(({ id }) => id)
    expect(new Set(log).size).toBe(67)
    expect(log).toHaveLength(67)
    expect(device.ids()).toEqual(log)
    expect(await device.pending()).toEqual([])
  })
})

describe('once, for a service worker', () => {
  test('sends and fetches, and leaves nothing behind', async () => {
    const it = world()
    await it.foreign(2)
    const device = it.device()
    await device.append('a')
    const status = await it.clock.runUntil(syncOnce(device.tab()))
    expect(status).toMatchObject({ status: 'idle', cursor: 3, pending: 0, lastContact: it.clock.now() })
    expect(it.clock.pending).toBe(0)
    expect(served(it, 'wake')).toBe(0)
  })

  test('N68: ends when its time is up, and with the signal', async () => {
    const it = world()
    it.server.latency(10_000)
    const device = it.device()
    await device.append('a')
    expect(await it.clock.runUntil(syncOnce(device.tab(), { budget: { maxTime: 5_000 } }))).toMatchObject({
      status: 'working',
      pending: 1,
    })
    expect(it.clock.monotonic()).toBe(5_000)
    const controller = new AbortController()
    const stopped = syncOnce(device.tab(), { signal: controller.signal })
    const ended = expect(stopped).rejects.toThrow('event over')
    await it.pass(1_000)
    controller.abort(new Error('event over'))
    await ended
    expect(it.clock.pending).toBe(0)
  })

  test('offline it says so, and waits for nothing', async () => {
    const it = world()
    it.server.partition('both')
    const device = it.device()
    await device.append('a')
    const status = await it.clock.runUntil(syncOnce(device.tab()))
    expect(status).toMatchObject({ pending: 1 })
    expect(['offline', 'waiting']).toContain(status.status)
  })

  test('leaves what it cannot decide again to a tab', async () => {
    const it = world()
    const device = it.device({ decide: async () => ({ kind: 'unknown' }) })
    await it.foreign()
    await device.append('foreign', { expect: [['foreign', null]], command: { name: 'add', args: '[]' } })
    await device.append('other')
    const status = await it.clock.runUntil(syncOnce(device.tab()))
    expect(status).toMatchObject({ cursor: 2, pending: 1, refused: 0 })
    const [left] = await device.pending()
    expect(left?.undecided?.code).toBe('conflict')
    // A tab without it refuses, since there will be no other.
    const sync = it.start(device)
    await it.pass(10)
    expect(shown(sync)).toMatchObject({ pending: 0, refused: 1 })
  })

  test('N68: stopped at any step, nothing is lost and nothing is stored twice', async () => {
    for (let steps = 0; steps < 40; steps += 1) {
      const it = world()
      it.server.latency(1)
      await it.foreign(3)
      const device = it.device()
      await device.append(['a', 'b'])
      const controller = new AbortController()
      const once = syncOnce(device.tab(), { signal: controller.signal }).catch(() => undefined)
      await it.pass(steps)
      controller.abort()
      await it.clock.runUntil(once)
      await it.clock.runUntil(syncOnce(device.tab()))
      const log = (await it.server.log()).map(({ id }) => id)
      expect(log).toHaveLength(5)
      expect(device.ids()).toEqual(log)
    }
  })
})

describe('arguments', () => {
  test('what is no synced store, and what is no option', async () => {
    const it = world()
    const device = it.device()
    expect(() => startSync({} as never)).toThrow('openSyncedStore')
    expect(() => startSync(Promise.resolve(device.tab()) as never)).toThrow('Await')
    expect(() => startSync(device.tab(), { wake: 'pigeon' as never })).toThrow("'websocket' or 'poll'")
    expect(() => startSync(device.tab(), { interval: 1 } as never)).toThrow("'interval'")
    await expect(syncOnce(device.tab(), { budget: { maxTime: 0 } })).rejects.toThrow('budget.maxTime')
    await expect(syncOnce({} as never)).rejects.toThrow('openSyncedStore')
  })

  test('a signal stops it, and so does the store when it is closed', async () => {
    const it = world()
    const device = it.device()
    const controller = new AbortController()
    const one = it.start(device, { signal: controller.signal })
    await it.pass(1)
    controller.abort()
    await it.pass(1)
    expect(shown(one)).toMatchObject({ status: 'stopped', reason: 'by-hand' })
    const two = it.start(device)
    await it.pass(1)
    expect(shown(two).status).toBe('idle')
    device.close()
    await it.pass(1)
    expect(shown(two).status).toBe('stopped')
    expect(it.clock.pending).toBe(0)
  })
})
