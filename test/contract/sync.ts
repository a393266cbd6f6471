/** Devices, tabs and a server: what is appended on one is in the log of all, whatever happens between them. */
import { afterEach, describe, expect, test, vi } from 'vitest'
import { defineEvents, deleteEventStore } from 'tidemark'
import {
  readTakenBack,
  startSync,
  syncOnce,
  type SyncedStore,
  type SyncHandle,
  type SyncStatus,
} from '../../src/sync/index.js'
import { testSyncServer, type TestConnection } from 'tidemark/testing'

type Event = { type: 'Added'; data: { n: number } }
const events = defineEvents<Event>()

export interface SyncBackend {
  readonly name: string
  /** Whether a store of the same name is the same store. */
  readonly onDevice: boolean
  open(options: {
    readonly name: string
    readonly events: typeof events
    readonly url: string
    readonly fetch: typeof globalThis.fetch
    readonly headers?: () => HeadersInit
  }): Promise<SyncedStore<Event>>
}

let count = 0

export function syncContract({ name: backend, onDevice, open }: SyncBackend): void {
  const stores: SyncedStore<Event>[] = []
  const handles: SyncHandle[] = []
  afterEach(async () => {
    for (const handle of handles.splice(0)) await handle.stop()
    const names = new Set(stores.map(({ name }) => name))
    for (const store of stores.splice(0)) await store.close()
    if (onDevice) for (const name of names) await deleteEventStore(name)
  })

  const fresh = () => `sync-${(count += 1)}-${Math.random()}`
  const opened = async (
    { url, fetch }: { url: string; fetch: typeof globalThis.fetch },
    name = fresh(),
    headers?: () => HeadersInit,
  ) => {
    const store = await open({ name, events, url, fetch, ...(headers !== undefined && { headers }) })
    stores.push(store)
    return store
  }
  const started = (store: SyncedStore<Event>, options?: Parameters<typeof startSync>[1]) => {
    const handle = startSync(store, options)
    handles.push(handle)
    return handle
  }
  const shown = ({ status }: SyncHandle): SyncStatus => status.getSnapshot()
  const numbers = async (store: SyncedStore<Event>) => {
    const found: number[] = []
    for await (const { data } of store.read()) found.push(data.n)
    return found
  }
  const until = (check: () => unknown) =>
    vi.waitFor(async () => expect(await check()).toBe(true), { timeout: 20_000, interval: 5 })
  const add = (store: SyncedStore<Event>, n: number, stream = 'a') => store.append(stream, events.Added({ n }))

  describe(`sync: ${backend}`, () => {
    test('what one device appends arrives at the other, both ways', async () => {
      const server = testSyncServer()
      const [one, two] = [await opened(server), await opened(server)]
      const [first, second] = [started(one), started(two)]
      const appended = await add(one, 1)
      // The server may have been faster.
      expect(appended.commit?.status).toMatch(/^(pending|accepted|confirmed)$/)
      await until(async () => (await two.head()) === 1)
      await add(two, 2)
      await until(async () => (await one.head()) === 2)
      // The device that appended it may fetch it later than the other one.
      await until(async () => (await two.head()) === 2)
      expect(await numbers(one)).toEqual([1, 2])
      expect(await numbers(two)).toEqual([1, 2])
      const settled = await appended.commit?.settled()
      expect(settled).toMatchObject({ status: 'confirmed', position: 1 })
      await until(() => shown(first).pending === 0 && shown(second).pending === 0)
      expect((await server.log()).map(({ version }) => version)).toEqual([1, 2])
    })

    test('hours without a network, and a reload: everything is there, once', async () => {
      const server = testSyncServer()
      const way = server.connection()
      const name = fresh()
      const store = await opened({ url: server.url, fetch: way.fetch }, name)
      const sync = started(store)
      await until(() => shown(sync).status === 'idle')
      way.partition('down')
      for (let n = 1; n <= 20; n += 1) await add(store, n)
      await until(() => shown(sync).status === 'offline' && shown(sync).pending === 20)
      // Some of it may be stored there: no response ever came.
      let again = store
      if (onDevice) {
        await sync.stop()
        await store.close()
        again = await opened({ url: server.url, fetch: way.fetch }, name)
      }
      await add(again, 21)
      way.partition()
      const later = onDevice ? started(again) : sync
      await later.now()
      await until(() => shown(later).pending === 0)
      expect((await server.log()).map(({ data }) => (data as { n: number }).n)).toEqual(
        Array.from({ length: 21 }, (_, n) => n + 1),
      )
      expect(await numbers(again)).toHaveLength(21)
      expect(await again.outbox()).toEqual([])
    })

    test('two tabs of a device: one works, both know, and the other takes over', async () => {
      const server = testSyncServer()
      const name = fresh()
      const one = await opened(server, name)
      const two = onDevice ? await opened(server, name) : one
      const [first, second] = [started(one), started(two)]
      await until(() => shown(first).status === 'idle' && shown(second).status === 'idle')
      await add(two, 1)
      await add(one, 2)
      await until(() => shown(first).cursor === 2 && shown(second).cursor === 2)
      await until(() => shown(first).status === 'idle' && shown(second).pending === 0)
      expect(server.requests.filter(({ name: path }) => path === 'info')).toHaveLength(1)
      await first.stop()
      expect(shown(first)).toMatchObject({ status: 'stopped', reason: 'by-hand' })
      await add(one, 3)
      await until(() => shown(second).cursor === 3 && shown(second).pending === 0)
      expect(await numbers(one)).toEqual([1, 2, 3])
      expect(await numbers(two)).toEqual([1, 2, 3])
    })

    test('paused in one tab, it is in the other, and when it is opened again', async () => {
      const server = testSyncServer()
      const name = fresh()
      const one = await opened(server, name)
      const two = onDevice ? await opened(server, name) : one
      const [first, second] = [started(one), started(two)]
      await until(() => shown(first).status === 'idle' && shown(second).status === 'idle')
      await second.pause()
      await until(() => shown(first).status === 'paused' && shown(second).status === 'paused')
      await add(one, 1)
      await first.stop()
      await second.stop()
      const third = started(one)
      await until(() => shown(third).status === 'paused')
      expect(shown(third)).toMatchObject({ reason: 'by-hand', pending: 1 })
      expect(await server.log()).toEqual([])
      await third.resume()
      await until(() => shown(third).pending === 0)
      expect(await server.log()).toHaveLength(1)
    })

    test('signed out and in again', async () => {
      const server = testSyncServer({
        author: (request) =>
          request.headers.get('Authorization') === 'Bearer good' ? 'anna' : new Response(null, { status: 401 }),
      })
      let token = 'good'
      const store = await opened(server, fresh(), () => ({ Authorization: `Bearer ${token}` }))
      const sync = started(store)
      await until(() => shown(sync).status === 'idle')
      token = 'old'
      await add(store, 1)
      await until(() => shown(sync).status === 'paused')
      expect(shown(sync)).toMatchObject({ reason: 'unauthorized', pending: 1 })
      token = 'good'
      await sync.resume()
      await until(() => shown(sync).pending === 0)
      expect((await server.log()).length).toBe(1)
    })

    test('a refused commit leaves the log alone, and the app is told', async () => {
      const server = testSyncServer()
      server.refuse((commit) => (commit.events[0]?.stream === 'bad' ? { code: 'rule', message: 'never' } : undefined))
      const store = await opened(server)
      const sync = started(store)
      const bad = await add(store, 1, 'bad')
      await add(store, 2, 'good')
      const settled = await bad.commit?.settled()
      expect(settled).toMatchObject({ status: 'refused', refusal: { code: 'rule', message: 'never' } })
      await until(() => shown(sync).cursor === 1)
      expect(shown(sync)).toMatchObject({ refused: 1, cursor: 1, pending: 0 })
      expect(await numbers(store)).toEqual([2])
      await settled?.discard()
      await sync.now()
      await until(() => shown(sync).refused === 0)
    })

    test('a first sync in pages, stopped in the middle and continued', async () => {
      const server = testSyncServer()
      const all = 7_500
      for (let from = 0; from < all; from += 500)
        await server.append(
          Array.from({ length: 500 }, (_, index) => ({
            stream: `s${from % 1000}`,
            type: 'Added',
            data: { n: from + index },
          })),
        )
      const way = server.connection()
      const name = fresh()
      const store = await opened({ url: server.url, fetch: way.fetch }, name)
      way.cut(300_000)
      const sync = started(store)
      // All that was shown: a fast device may be done before it is asked.
      const cursors: number[] = []
      const stop = sync.status.subscribe(() => void cursors.push(shown(sync).cursor))
      await until(() => shown(sync).cursor > 0)
      way.cut()
      await sync.now()
      await until(() => shown(sync).cursor === all)
      stop()
      expect(cursors.some((cursor) => cursor > 0 && cursor < all)).toBe(true)
      expect(await numbers(store)).toEqual(Array.from({ length: all }, (_, n) => n))
    })

    test('a service worker at the same time: nothing twice, nothing lost', async () => {
      const server = testSyncServer()
      const name = fresh()
      const store = await opened(server, name)
      const worker = onDevice ? await opened(server, name) : store
      const sync = started(store)
      for (let n = 1; n <= 30; n += 1) {
        await add(store, n)
        if (n % 5 === 0) await Promise.all([syncOnce(worker), syncOnce(worker)])
      }
      expect(await syncOnce(worker)).toMatchObject({ status: 'idle', pending: 0, cursor: 30 })
      await until(() => shown(sync).pending === 0 && shown(sync).cursor === 30)
      expect((await server.log()).map(({ data }) => (data as { n: number }).n)).toEqual(
        Array.from({ length: 30 }, (_, n) => n + 1),
      )
      expect(await numbers(store)).toHaveLength(30)
    })

    test('a worker that is stopped anywhere leaves no harm', async () => {
      const server = testSyncServer()
      const store = await opened(server)
      for (let step = 0; step < 12; step += 1) {
        await add(store, step)
        const controller = new AbortController()
        const once = syncOnce(store, { signal: controller.signal }).catch((error: unknown) => error)
        for (let turn = 0; turn < step; turn += 1) await new Promise((resolve) => setTimeout(resolve))
        controller.abort(new Error('over'))
        await once
      }
      await syncOnce(store)
      expect((await server.log()).map(({ data }) => (data as { n: number }).n)).toEqual(
        Array.from({ length: 12 }, (_, n) => n),
      )
      expect(await numbers(store)).toHaveLength(12)
    })

    test('a server that was restored gets back what it lost', async () => {
      const server = testSyncServer()
      const [one, two] = [await opened(server), await opened(server)]
      const [first, second] = [started(one), started(two)]
      await add(one, 1)
      await until(async () => (await two.head()) === 1 && shown(first).pending === 0)
      const backup = server.backup()
      await add(one, 2)
      await until(async () => (await two.head()) === 2 && shown(first).pending === 0)
      const taken = async () => {
        const found: unknown[] = []
        for await (const { data, position, status } of readTakenBack(two)) found.push([data.n, position, status])
        return found
      }
      expect(await taken()).toEqual([])
      server.restore(backup)
      await server.append([{ stream: 'b', type: 'Added', data: { n: 3 } }])
      await first.pause()
      await second.now()
      // The device that appended it has not been here yet.
      expect(await taken()).toEqual([[2, 2, 'missing']])
      await first.resume()
      await first.now()
      await second.now()
      await until(async () => (await one.head()) === 3 && (await two.head()) === 3)
      expect(await numbers(one)).toEqual([1, 3, 2])
      expect(await numbers(two)).toEqual([1, 3, 2])
      expect(await taken()).toEqual([[2, 2, 'confirmed']])
      await until(() => shown(first).status === 'idle' && shown(second).status === 'idle')
    })

    test('fetched again from the beginning, when asked', async () => {
      const server = testSyncServer()
      const store = await opened(server)
      const sync = started(store)
      await add(store, 1)
      await add(store, 2)
      await until(() => shown(sync).cursor === 2)
      await sync.resync()
      await until(() => shown(sync).status === 'idle' && shown(sync).cursor === 2)
      expect(await numbers(store)).toEqual([1, 2])
      await add(store, 3)
      await until(() => shown(sync).cursor === 3)
    })

    test('many devices, a bad network, and in the end the same log everywhere', async () => {
      const server = testSyncServer()
      const devices: { store: SyncedStore<Event>; way: TestConnection; sync: SyncHandle }[] = []
      for (let index = 0; index < 3; index += 1) {
        const way = server.connection()
        const store = await opened({ url: server.url, fetch: way.fetch })
        devices.push({ store, way, sync: started(store) })
      }
      let n = 0
      for (let round = 0; round < 12; round += 1)
        for (const [index, { store, way, sync }] of devices.entries()) {
          const fault = (round + index) % 4
          way.partition(fault === 1 ? 'down' : fault === 2 ? 'up' : undefined)
          way.cut(fault === 3 ? 200 * round : undefined)
          await add(store, (n += 1), `s${index}`)
          await sync.now()
        }
      for (const { way } of devices) {
        way.partition()
        way.cut()
      }
      for (const { sync } of devices) await sync.now()
      for (const { sync } of devices) await sync.now()
      const log = (await server.log()).map(({ data }) => (data as { n: number }).n)
      expect([...log].sort((one, other) => one - other)).toEqual(Array.from({ length: n }, (_, each) => each + 1))
      for (const { store } of devices) expect(await numbers(store)).toEqual(log)
      for (const { store } of devices) expect(await store.outbox()).toEqual([])
    })

    if (onDevice)
      test('a store that was deleted elsewhere is known as lost in every tab, and another one of that name syncs', async () => {
        const server = testSyncServer()
        const name = fresh()
        const tabs = [await opened(server, name), await opened(server, name)] as const
        const syncs = tabs.map((store) => started(store))
        await add(tabs[0], 1)
        await until(() => syncs.every((sync) => shown(sync).cursor === 1 && shown(sync).status === 'idle'))
        await deleteEventStore(name)
        const lost = { status: 'stopped', reason: 'storage-lost', pending: 0, message: expect.any(String) as string }
        // Long before anything would be tried again.
        for (const sync of syncs)
          await vi.waitFor(() => expect(shown(sync)).toMatchObject(lost), { timeout: 4_000, interval: 5 })
        const next = await opened(server, name)
        const sync = started(next)
        await until(async () => (await next.head()) === 1 && shown(sync).status === 'idle')
        for (const each of syncs) {
          expect(await each.now()).toMatchObject(lost)
          await expect(each.pause()).rejects.toMatchObject({ code: 'storage-lost' })
          await each.stop()
          expect(shown(each)).toMatchObject(lost)
        }
        expect(shown(sync)).toMatchObject({ status: 'idle', cursor: 1 })
      })

    if (onDevice)
      test('a store that is lost before syncing starts is known as lost by the first call', async () => {
        const name = fresh()
        const store = await opened(testSyncServer(), name)
        await deleteEventStore(name)
        const sync = started(store)
        expect(await sync.now()).toMatchObject({ status: 'stopped', reason: 'storage-lost' })
      })

    if (onDevice)
      test('what any script may post on the channel changes nothing that is stored', async () => {
        const server = testSyncServer()
        const store = await opened(server)
        const sync = started(store)
        await until(() => shown(sync).status === 'idle')
        const channel = new BroadcastChannel(`tidemark-sync:${store.name}`)
        for (const message of [
          null,
          'x',
          { kind: 'status' },
          { kind: 'control' },
          { kind: 'look' },
          { kind: 'candidate' },
        ])
          channel.postMessage(message)
        const forged = { status: 'stopped', cursor: 99, head: 99, pending: 0, behind: 0, refused: 0 }
        channel.postMessage({ kind: 'status', owner: '', hasLock: true, status: forged })
        await add(store, 1)
        await until(() => shown(sync).cursor === 1 && shown(sync).pending === 0)
        expect(shown(sync).status).not.toBe('stopped')
        channel.close()
      })
  })
}
