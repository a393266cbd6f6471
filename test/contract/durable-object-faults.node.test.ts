/**
 * Durable Objects that end: killed under load, aborted, evicted while sockets are open; alarms. A longer run:
 * `TIDEMARK_KILL_ROUNDS=200 npx vitest run --project servers test/contract/durable-object-faults.node.test.ts`.
 */
import { createHash, randomUUID } from 'node:crypto'
import { request } from 'node:http'
import { systemClock } from '../../src/platform/clock.js'
import { createId } from '../../src/events/identifier.js'
import { seededRandom } from '../../src/testing/random.js'
import { defineEvents } from 'tidemark'
import { openSyncedStore } from 'tidemark/memory'
import { startSync } from 'tidemark/sync'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { RawSocket } from '../support/workerd/raw-socket.js'
import { workerd, Workerd } from '../support/workerd/start.js'

const rounds = Number(process.env['TIDEMARK_KILL_ROUNDS'] ?? 5)
const day = 86_400_000

describe.skipIf(workerd === undefined)('a Durable Object', () => {
  let running: Workerd
  beforeAll(async () => {
    running = await Workerd.start()
  })
  afterAll(() => running.end())

  /** A device without a store: what it sends, and what comes back. */
  class Device {
    readonly #name: string
    #log = ''

    constructor(readonly log: string = randomUUID()) {
      this.#name = 'anna'
    }

    get url() {
      return `${running.url}/logs/${this.log}`
    }

    ask(path: string, init: RequestInit = {}, more: Record<string, string> = {}) {
      const headers = { 'X-User': this.#name, 'Tidemark-Sync': '1', 'Content-Type': 'application/json', ...more }
      return fetch(`${this.url}/${path}`, { ...init, headers })
    }

    async identity(): Promise<string> {
      return (this.#log ||= (await this.ask('info')).headers.get('Tidemark-Log') ?? '')
    }

    /** Pushes commits of events with these ids in one stream. Throws if the server cannot be reached. */
    async push(commits: readonly (readonly string[])[], more: object = {}) {
      const body = JSON.stringify({
        commits: commits.map((ids) => ({
          events: ids.map((id) => ({ stream: 's', type: 'A', id, time: 1, data: { id } })),
        })),
        ...more,
      })
      const response = await this.ask('push', { method: 'POST', body }, { 'Tidemark-Log': await this.identity() })
      const { answers } = (await response.json()) as { answers: ({ id: string } & Record<string, unknown>)[] }
      expect(response.status).toBe(200)
      return answers
    }

    async control<T>(what: string): Promise<T> {
      return (await fetch(`${this.url}/control?do=${what}`)).json() as Promise<T>
    }

    async socket(headers: Record<string, string> = {}): Promise<RawSocket> {
      const { ticket } = (await (await this.ask('ticket', { method: 'POST', body: '{}' })).json()) as { ticket: string }
      return new RawSocket(`${this.url}/wake?ticket=${ticket}`, headers)
    }

    /** All lines of the log. Checks positions, versions and chains. */
    async lines(): Promise<Record<string, unknown>[]> {
      const lines: Record<string, unknown>[] = []
      let chain = ''
      for (let isMore = true; isMore;) {
        const page = await this.ask(`pull?after=${lines.length}${chain === '' ? '' : `&chain=${chain}`}`)
        const [header, ...texts] = (await page.text()).trimEnd().split('\n')
        let commit: string[] = []
        let before = chain === '' ? '0'.repeat(32) : chain
        const close = () => {
          if (commit.length > 0)
            before = createHash('sha256')
              .update([before, ...commit].join('\n'))
              .digest('hex')
              .slice(0, 32)
          commit = []
        }
        for (const text of texts) {
          const line = JSON.parse(text) as Record<string, unknown>
          if ('scannedTo' in line) {
            close()
            expect(line).toEqual({ scannedTo: lines.length, chain: before })
            chain = line['chain'] as string
            continue
          }
          if (line['commit'] === line['position']) close()
          commit.push(text)
          lines.push(line)
          expect([line['position'], line['version']]).toEqual([lines.length, lines.length])
        }
        isMore = lines.length < (JSON.parse(header ?? '') as { head: number }).head
      }
      return lines
    }
  }

  test(
    'N86: killed under load, again and again: what was acknowledged is there, once, and without holes',
    async () => {
      const seed = Number(process.env['TIDEMARK_SEED'] ?? Date.now() % 1e6)
      console.log(`seed ${seed}`)
      const random = seededRandom(seed)
      let acknowledged = 0
      for (let round = 0; round < rounds; round += 1) {
        const device = new Device()
        await device.identity()
        const [said, cancelled, unknown] = [new Map<string, number>(), [] as string[], [] as string[][]]
        let isUp = true
        const writer = async () => {
          while (isUp) {
            const commits = [1, 2].map(() =>
              Array.from({ length: 1 + Math.floor(random() * 4) }, () => createId(Date.now())),
            )
            const cancel = random() < 0.2 ? [createId(Date.now())] : []
            try {
              for (const answer of await device.push(commits, { cancel: cancel.map((id) => [id]) }))
                if ('accepted' in answer) said.set(answer.id, answer['accepted'] as number)
                else cancelled.push(answer.id)
            } catch {
              unknown.push(...commits)
              return
            }
          }
        }
        const enough = 5 + Math.floor(random() * 40)
        const killer = async () => {
          while (said.size < enough) await new Promise((resolve) => setImmediate(resolve))
          isUp = random() < 0.5
          await running.kill()
        }
        await Promise.all([writer(), writer(), writer(), killer()])
        await running.startAgain()
        const lines = await device.lines()
        const at = new Map(lines.map(({ id, position }) => [id as string, position as number]))
        expect(at.size).toBe(lines.length)
        for (const [id, position] of said) expect([id, at.get(id)]).toEqual([id, position])
        // A commit whose response was lost is whole in the log, or not at all, and a repeat says which.
        for (const ids of unknown) expect([0, ids.length]).toContain(ids.filter((id) => at.has(id)).length)
        if (unknown.length > 0)
          for (const answer of await device.push(unknown))
            expect(answer['accepted']).toBe(at.get(answer.id) ?? answer['accepted'])
        for (const answer of cancelled.length === 0 ? [] : await device.push(cancelled.map((id) => [id])))
          expect(answer).toMatchObject({ refused: { code: 'cancelled' } })
        acknowledged += said.size
      }
      console.log(`${acknowledged} acknowledged in ${rounds} rounds`)
      expect(acknowledged).toBeGreaterThanOrEqual(rounds * 5)
    },
    60_000 + rounds * 10_000,
  )

  test('N86: aborted under load: the log continues where it was, in the same epoch', async () => {
    const device = new Device()
    const before = await device.identity()
    const first = await device.control<{ since: number }>('stats')
    let stored = 0
    for (let round = 0; round < 5; round += 1) {
      const pushes = Array.from({ length: 10 }, (_, n) => device.push([[`${round}-${n}`]]).then(() => (stored += 1)))
      const aborted = device.control('abort')
      await Promise.allSettled([...pushes, aborted])
    }
    const ids = (await device.lines()).map(({ id }) => id)
    expect(ids.length).toBeGreaterThanOrEqual(stored)
    expect(new Set(ids).size).toBe(ids.length)
    expect((await device.ask('info')).headers.get('Tidemark-Log')).toBe(before)
    expect((await device.control<{ since: number }>('stats')).since).toBeGreaterThan(first.since)
  })

  test('N86: a new epoch begins when the operator says so, or names another generation, and then only', async () => {
    const device = new Device()
    const first = await device.identity()
    await device.push([['a']])
    await device.control('renew-epoch')
    const epochOf = async () => (await device.ask('info')).headers.get('Tidemark-Log') ?? ''
    const second = await epochOf()
    expect(second).not.toBe(first)
    expect(second.split('/')[0]).toBe(first.split('/')[0])
    const late = await device.ask('push', { method: 'POST', body: '{"commits":[]}' }, { 'Tidemark-Log': first })
    expect([late.status, ((await late.json()) as { code: string }).code]).toEqual([409, 'other-epoch'])
    const epochs = []
    for (const generation of ['', 'x', 'x', 'y']) {
      await running.kill()
      await running.startAgain({ generation })
      epochs.push(await epochOf())
    }
    expect(epochs[0]).toBe(second)
    expect(epochs[2]).toBe(epochs[1])
    expect(new Set(epochs).size).toBe(3)
    expect(await device.lines()).toHaveLength(1)
    await running.kill()
    await running.startAgain()
  })

  test.each(['before', 'after'])(
    'N86: ended %s a commit is stored: a repeat says which, and stores it once',
    async (when) => {
      await running.kill()
      await running.startAgain({ killAt: `${when}@2` })
      const device = new Device()
      await device.push([['a']])
      await expect(device.push([['b', 'c']])).rejects.toThrow()
      await running.ended()
      await running.startAgain()
      expect((await device.lines()).map(({ id }) => id)).toEqual(when === 'before' ? ['a'] : ['a', 'b', 'c'])
      expect(await device.push([['b', 'c']])).toEqual([{ id: 'b', accepted: 2 }])
      expect((await device.lines()).map(({ id }) => id)).toEqual(['a', 'b', 'c'])
    },
  )

  test('N89: sockets get the head immediately, and then whenever it moves; ping is responded to', async () => {
    const device = new Device()
    await device.push([['a']])
    const sockets = [await device.socket(), await device.socket()]
    for (const socket of sockets) await socket.heard((texts) => texts.includes('{"head":1}'))
    await device.push([['b', 'c']])
    for (const socket of sockets) await socket.heard((texts) => texts.includes('{"head":3}'))
    sockets[0]?.send('ping')
    await sockets[0]?.heard((texts) => texts.includes('pong'))
    expect((await device.control<{ sockets: number }>('stats')).sockets).toBe(2)
    sockets[1]?.close()
    // Anything else is not of this protocol.
    sockets[0]?.send('{"head":1000}')
    await sockets[0]?.ended
    await expect.poll(async () => (await device.control<{ sockets: number }>('stats')).sockets).toBe(0)
  })

  test('N89: devices that vanish leave no socket behind, and disturb no other', async () => {
    const device = new Device()
    const [stays, ...gone] = await Promise.all(Array.from({ length: 5 }, () => device.socket()))
    for (const socket of [stays, ...gone]) await socket?.heard((texts) => texts.length === 1)
    for (const [index, socket] of gone.entries()) socket.vanish(index % 2 === 0 ? 'reset' : 'half-closed')
    await device.push([['a']])
    await stays?.heard((texts) => texts.includes('{"head":1}'))
    await expect.poll(async () => (await device.control<{ sockets: number }>('stats')).sockets).toBe(1)
    await device.push([['b']])
    await stays?.heard((texts) => texts.includes('{"head":2}'))
    stays?.close()
  })

  test('N89: sockets of the app get no hints, and may say what they like', async () => {
    const device = new Device()
    const own = new RawSocket(`${device.url}/own-socket`)
    const socket = await device.socket()
    await device.push([['a']])
    await socket.heard((texts) => texts.includes('{"head":1}'))
    own.send('anything')
    own.send('ping')
    // The runtime responds to it; what was sent before was heard.
    await own.heard((texts) => texts.includes('pong'))
    expect(own.texts).toEqual(['hello', 'pong'])
    expect((await device.control<{ sockets: number }>('stats')).sockets).toBe(1)
    own.close()
    socket.close()
  })

  test('N86: an object of which everything was deleted begins another log', async () => {
    const device = new Device()
    const first = await device.identity()
    await device.push([['a'], ['b']])
    await device.control('delete-all')
    expect((await device.ask('info')).status).toBe(503)
    const info = await device.ask('info')
    expect([info.status, ((await info.json()) as { head: number }).head]).toEqual([200, 0])
    expect(info.headers.get('Tidemark-Log')?.split('/')[0]).not.toBe(first.split('/')[0])
    const late = await device.ask('push', { method: 'POST', body: '{"commits":[]}' }, { 'Tidemark-Log': first })
    expect(((await late.json()) as { code: string }).code).toBe('other-log')
  })

  test('N89: a burst of commits is a few hints, the last of which says the head', async () => {
    const device = new Device()
    const socket = await device.socket()
    await socket.heard((texts) => texts.length === 1)
    const began = performance.now()
    await Promise.all(Array.from({ length: 100 }, (_, n) => device.push([[`x${n}`]])))
    await socket.heard((texts) => texts.includes('{"head":100}'))
    expect(socket.texts.length).toBeLessThanOrEqual(3 + (performance.now() - began) / 50)
    socket.close()
  })

  test('N89: a ticket is good once, at its log, and only for pages of allowed origins', async () => {
    const device = new Device()
    const asked = await device.ask('ticket', { method: 'POST', body: '{}' })
    const { ticket } = (await asked.json()) as { ticket: string }
    const open = async (log: string, given: string, headers = {}) => {
      const socket = new RawSocket(`${running.url}/logs/${log}/wake?ticket=${given}`, headers)
      await Promise.race([socket.heard((texts) => texts.length > 0).catch(() => {}), socket.ended])
      socket.close()
      return socket.status || 'open'
    }
    expect(await open(randomUUID(), ticket)).toBe(401)
    expect(await open(device.log, ticket, { Origin: 'https://evil.example' })).toBe(403)
    expect(await open(device.log, ticket, { Origin: 'https://app.example' })).toBe('open')
    expect(await open(device.log, ticket)).toBe(401)
    expect(await open(device.log, '')).toBe(401)
    const own = await (await device.ask('ticket', { method: 'POST', body: '{}' })).json()
    expect(await open(device.log, (own as { ticket: string }).ticket, { Origin: running.url })).toBe('open')
    // A socket is asked for at `wake` alone: no other path is served without a user.
    const forged = new RawSocket(`${running.url}/logs/${device.log}/info?ticket=x`, { 'Tidemark-Sync': '1' })
    await forged.ended
    expect(forged.status).toBe(401)
  })

  test('N90: a request that is refused stores nothing in an object that has nothing yet', async () => {
    const device = new Device()
    const socket = new RawSocket(`${device.url}/wake?ticket=x`)
    await socket.ended
    expect((await fetch(`${device.url}/info`, { headers: { 'Tidemark-Sync': '1' } })).status).toBe(401)
    expect((await device.control<{ tables: number }>('tables')).tables).toBe(0)
    expect(
      (await fetch(`${device.url}/info`, { headers: { 'Tidemark-Sync': '1', 'X-User': 'forgotten' } })).status,
    ).toBe(503)
    await device.identity()
    expect((await device.control<{ tables: number }>('tables')).tables).toBe(5)
  })

  test('N90: verdicts are dropped after 90 days by an alarm, and no sooner', async () => {
    const device = new Device()
    await device.push([], { cancel: [['a', 'b']] })
    const { at } = await device.control<{ at: number }>('alarm')
    expect(Math.abs(at - Date.now() - 91 * day)).toBeLessThan(600_000)
    // An alarm that is there is the app's.
    for (const days of [-2, 2]) {
      const other = new Device()
      await other.control(`alarm-at&at=${at + days * day}`)
      await other.push([], { cancel: [['a']] })
      expect(await other.control('alarm')).toEqual({ at: at + days * day })
    }
    // Where none can be set, the developer is told, and the next verdict tries it again.
    const without = new Device()
    await without.control('no-alarms&are=there')
    await without.push([], { cancel: [['a']] })
    await expect.poll(() => running.printed).toContain('There are no alarms here.')
    await without.control('no-alarms')
    await without.push([], { cancel: [['b']] })
    expect((await without.control<{ at: number }>('alarm')).at).toBeGreaterThan(at - day)
    const alarmed = async (days: number, alarms: number) => {
      await device.control(`skip&ms=${days * day}`)
      await device.control(`alarm-at&at=${Date.now()}`)
      await expect.poll(async () => (await device.control<{ alarms: number }>('stats')).alarms).toBe(alarms)
      return (await device.control<{ refusals: number }>('stats')).refusals
    }
    expect(await alarmed(89, 1)).toBe(2)
    await device.push([], { cancel: [['c']] })
    expect(await alarmed(91, 2)).toBe(1)
    expect(await device.push([['a'], ['c']])).toMatchObject([{ accepted: 1 }, { refused: { code: 'cancelled' } }])
    expect(await alarmed(180, 3)).toBe(0)
    expect(await device.control('alarm')).toEqual({ at: null })
  })

  test(
    'N89: devices that sync by WebSocket have what another one did, also after the object ended',
    { timeout: 60_000 },
    async () => {
      vi.stubGlobal('WebSocket', RawSocket)
      const device = new Device()
      const catalogue = defineEvents<{ type: 'Added'; data: { n: number } }>()
      const open = async (name: string) => {
        const asked: string[] = []
        const store = await openSyncedStore({
          name: `${name}-${device.log}`,
          url: device.url,
          headers: () => ({ 'X-User': name }),
          events: catalogue,
          // A socket that ended is opened again after the shortest pause, a second.
          clock: { ...systemClock, random: () => 0 },
          fetch: (input, init) => {
            asked.push(new URL(input as string).pathname.split('/').at(-1) ?? '')
            return fetch(input, init)
          },
        })
        return { store, asked, sync: startSync(store, { wake: 'websocket' }) }
      }
      const devices = [await open('anna'), await open('bert')]
      const [anna, bert] = devices
      const caughtUp = async (head: number) => {
        for (const { sync } of devices)
          await expect.poll(() => sync.status.getSnapshot().cursor, { timeout: 20_000 }).toBe(head)
      }
      try {
        for (let n = 1; n <= 5; n += 1) {
          await anna?.store.append('s', { type: 'Added', data: { n } })
          // A poll would come a minute later.
          await caughtUp(n)
          if (n === 3) await device.control('abort').catch(() => {})
        }
        expect((await device.control<{ sockets: number }>('stats')).sockets).toBeGreaterThan(0)
        expect(bert?.asked).toContain('ticket')
        expect(bert?.asked).not.toContain('wake')
      } finally {
        for (const { sync, store } of devices) {
          await sync.stop()
          await store.close()
        }
        vi.unstubAllGlobals()
      }
    },
  )

  test('N58: a body that no request has is not read without an end; one that is too large gets its response', async () => {
    const device = new Device()
    const large = await device.ask('push', { method: 'POST', body: ' '.repeat(6_000_000) })
    expect([large.status, ((await large.json()) as { code: string }).code]).toEqual([400, 'bad-request'])
    const asked = request(`${device.url}/info`, { method: 'POST', headers: { 'X-User': 'anna', 'Tidemark-Sync': '1' } })
    let sent = 0
    const part = Buffer.alloc(65_536, 32)
    const ended = new Promise<void>((resolve) => {
      for (const name of ['response', 'error', 'close']) asked.on(name, () => resolve())
    }).then(() => (sent = Infinity))
    // No more of it than this ever goes out, if nobody ends it.
    while (sent < 200_000_000) {
      sent += part.length
      if (!asked.write(part)) await Promise.race([ended, new Promise((resolve) => asked.once('drain', resolve))])
    }
    asked.destroy()
    expect(sent).toBe(Infinity)
    expect((await device.ask('info')).status).toBe(200)
  })

  test('N87: large pushes at the same moment are turned away when memory could run out; small ones never', async () => {
    const device = new Device()
    const identity = await device.identity()
    const large = async (stream: string) => {
      const events = Array.from({ length: 15 }, (_, n) => `${stream}-${n}`).map((id) => [
        { stream, type: 'A', id, time: 1, data: 'x'.repeat(250_000) },
      ])
      const body = JSON.stringify({ commits: events.map((each) => ({ events: each })) })
      return (await device.ask('push', { method: 'POST', body }, { 'Tidemark-Log': identity })).status
    }
    await device.control('hold&stream=held')
    // Two of them fit, until they are decided.
    const held = [large('held'), large('held')]
    await expect.poll(async () => (await device.control<{ held: number }>('stats')).held).toBe(2)
    expect(await large('other')).toBe(503)
    expect(await device.push([['small']])).toMatchObject([{ id: 'small' }])
    await device.control('hold')
    expect(await Promise.all(held)).toEqual([200, 200])
    expect(await large('other')).toBe(200)
    expect((await device.control<{ head: number }>('stats')).head).toBe(2 * 15 + 1)
  })

  test(
    'N89: evicted between two bursts of pushes while sockets are open: they stay, and get the next hint',
    { timeout: 120_000 },
    async () => {
      const device = new Device()
      let sent = 0
      const burst = () =>
        Promise.all(Array.from({ length: 20 }, () => device.push([[`e${(sent += 1)}`], [`e${(sent += 1)}`]])))
      await device.push([['a']])
      const sockets = await Promise.all(Array.from({ length: 50 }, () => device.socket()))
      for (const socket of sockets) await socket.heard((texts) => texts.length === 1)
      await burst()
      const stats = () => device.control<{ since: number; sockets: number }>('stats')
      const { since } = await stats()
      // The runtime evicts after ten seconds of rest, and a busy machine takes longer to do it.
      for (let tries = 0; tries < 4 && (tries === 0 || (await stats()).since === since); tries += 1) {
        await new Promise((resolve) => setTimeout(resolve, 12_000))
        sockets[0]?.send('ping')
        await sockets[0]?.heard((texts) => texts.includes('pong'))
      }
      await burst()
      for (const socket of sockets) await socket.heard((texts) => texts.includes(`{"head":${1 + sent}}`))
      const after = await stats()
      expect(after.since).toBeGreaterThan(since)
      expect(after.sockets).toBe(50)
      expect((await device.lines()).map(({ position }) => position)).toEqual(
        Array.from({ length: 1 + sent }, (_, at) => at + 1),
      )
      for (const socket of sockets) socket.close()
    },
  )
})
