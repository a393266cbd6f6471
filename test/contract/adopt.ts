/** A local store that becomes what this device did in a synced one, whatever happens on the way. */
import { afterEach, describe, expect, test } from 'vitest'
import { defineEvents, defineProjection, deleteEventStore, table, verifyEventStore, type TidemarkStore } from 'tidemark'
import { adoptStore, openReadModel, startSync, syncOnce, type SyncedStore } from 'tidemark/sync'
import { openReadModel as openLocalReadModel, runProjection, exportEvents } from 'tidemark'
import { testSyncServer, type TestSyncServer } from 'tidemark/testing'

type Event = { type: 'Added'; data: { n: number } }
const events = defineEvents<Event>()
const sums = defineProjection(events, {
  name: 'sums',
  tables: { sums: table<{ stream: string; sum: number; times: number[] }>({ key: 'stream' }) },
  on: {
    Added: async ({ stream, data, time }, { sums }) => {
      const before = await sums.get(stream)
      sums.put({ stream, sum: (before?.sum ?? 0) + data.n, times: [...(before?.times ?? []), time] })
    },
  },
})

export interface AdoptBackend {
  readonly name: string
  /** Whether a store of the same name is the same store. */
  readonly onDevice: boolean
  openLocal(name: string): Promise<TidemarkStore<Event>>
  openSynced(options: {
    readonly name: string
    readonly events: typeof events
    readonly url: string
    readonly fetch: typeof globalThis.fetch
  }): Promise<SyncedStore<Event>>
}

export function adoptContract({ name: backend, onDevice, openLocal, openSynced }: AdoptBackend): void {
  const open: { close(): Promise<void> }[] = []
  afterEach(async () => {
    for (const each of open.splice(0)) await each.close()
  })
  const kept = <T extends { close(): Promise<void> }>(store: T): T => {
    open.push(store)
    return store
  }
  const localStore = async (name = `local-${crypto.randomUUID()}`) => kept(await openLocal(name))
  const syncedStore = async (server = testSyncServer(), name = `synced-${crypto.randomUUID()}`, fetch = server.fetch) =>
    kept(await openSynced({ name, events, url: server.url, fetch }))
  /** What was sent passes `seen`, which may lose the response by throwing. */
  const watching = (
    server: TestSyncServer,
    seen: (push: { at?: number; commits: unknown[] }) => void,
  ): typeof fetch => {
    return async (input, init) => {
      const response = await server.fetch(input, init)
      if (typeof init?.body === 'string') seen(JSON.parse(init.body) as { commits: unknown[] })
      return response
    }
  }
  const added = (n: number) => events.Added({ n })
  /** Commits of one to three events in a few streams. */
  const fill = async (store: TidemarkStore<Event>, commits: number, from = 0) => {
    for (let n = from; n < from + commits; n += 1)
      await store.append({
        stream: `s-${n % 3}`,
        events: Array.from({ length: 1 + (n % 3) }, (_, index) => added(n * 10 + index)),
      })
  }
  /** Commits of which three fill a request. */
  const heavy = async (store: TidemarkStore<Event>, commits: number) => {
    const meta = { text: 'x'.repeat(200_000) }
    for (let n = 0; n < commits; n += 1)
      await store.append({ stream: `s-${n % 2}`, events: [{ ...added(n), meta }] }, { durability: 'relaxed' })
  }
  /** The log as `exportEvents` writes it, without what differs between logs. */
  const lines = async (store: TidemarkStore<Event> | SyncedStore<Event>) => {
    const all: string[] = []
    for await (const line of exportEvents(store as TidemarkStore<Event>)) all.push(line)
    return all.slice(1)
  }
  const pendingIds = async (store: SyncedStore<Event>) =>
    (await store.outbox()).map((commit) => commit.events.map(({ id }) => id))
  const idsOf = async (store: TidemarkStore<Event>) => {
    const found: string[] = []
    for await (const { id } of store.read()) found.push(id)
    return found
  }

  describe(`${backend}: adopting a local store`, () => {
    test('N95: an empty server log becomes the local one: commits, positions, times and versions, and nothing waits', async () => {
      const server = testSyncServer()
      const pushes: { at?: number | undefined; commits: number }[] = []
      const fetch = watching(server, ({ at, commits }) => pushes.push({ at, commits: commits.length }))
      const [local, synced] = [await localStore(), await syncedStore(server, undefined, fetch)]
      await local.append({ stream: 'with-meta', events: [{ ...added(1), meta: { by: 'anna' } }] })
      await fill(local, 40)
      const before = await lines(local)
      expect(await adoptStore(local, synced)).toEqual({ confirmed: 41, pending: 0 })
      expect(await lines(synced)).toEqual(before)
      expect(await synced.outbox()).toEqual([])
      expect(pushes).toEqual([{ at: 0, commits: 41 }])
      const other = await syncedStore(server)
      await syncOnce(other)
      expect(await lines(other)).toEqual(before)
      // The chain is that of the server: nothing is compared, and what is appended next goes behind it.
      await synced.append('s-0', added(1))
      expect(await syncOnce(synced)).toMatchObject({ status: 'idle', pending: 0, cursor: before.length + 1 })
      expect(server.requests.filter(({ status }) => status !== 200)).toEqual([])
    })

    test('without a connection its commits wait in the outbox, and become the same log later', async () => {
      const server = testSyncServer()
      server.partition('both')
      const [local, synced] = [await localStore(), await syncedStore(server)]
      await fill(local, 40)
      const before = await lines(local)
      expect(await adoptStore(local, synced)).toEqual({ confirmed: 0, pending: 40 })
      expect((await pendingIds(synced)).flat()).toEqual(await idsOf(local))
      server.partition()
      await syncOnce(synced)
      expect(await lines(synced)).toEqual(before)
      expect(await synced.outbox()).toEqual([])
    })

    test.each([0, 1, 2])(
      'N95: a crash after push %i, whose response is lost: the next call goes on from there',
      async (nth) => {
        const server = testSyncServer()
        const leaving = new AbortController()
        let count = 0
        const fetch = watching(server, () => {
          if (count++ !== nth) return
          leaving.abort(new Error('left'))
          throw new TypeError('Failed to fetch')
        })
        const [local, synced] = [await localStore(), await syncedStore(server, undefined, fetch)]
        await heavy(local, 8)
        const before = await lines(local)
        await expect(adoptStore(local, synced, { signal: leaving.signal })).rejects.toThrow('left')
        expect(await synced.outbox()).toEqual([])
        // Of a page that fetches what it sent, and of one that does not.
        if (nth === 1) await syncOnce(synced)
        const result = await adoptStore(local, synced)
        expect(result.pending).toBe(0)
        expect(await lines(synced)).toEqual(before)
        expect((await server.log()).length).toBe(before.length)
        // All of it is known as this device's own: a restored server gets it back.
        server.restore({ commits: [], refusals: [] })
        await syncOnce(synced)
        expect((await server.log()).map(({ id }) => id)).toEqual(await idsOf(local))
      },
    )

    test('N95: a crash whose response is lost, and then another device stores something behind it', async () => {
      const server = testSyncServer()
      const leaving = new AbortController()
      const fetch = watching(server, () => {
        if (leaving.signal.aborted) return
        leaving.abort(new Error('left'))
        throw new TypeError('Failed to fetch')
      })
      const [local, synced] = [await localStore(), await syncedStore(server, undefined, fetch)]
      await heavy(local, 3)
      await expect(adoptStore(local, synced, { signal: leaving.signal })).rejects.toThrow('left')
      await server.append([{ stream: 's-0', type: 'Added', data: { n: 7 }, id: 'of-another' }])
      expect(await adoptStore(local, synced)).toEqual({ confirmed: 0, pending: 3 })
      await syncOnce(synced)
      const ids: string[] = []
      for await (const { id } of synced.read()) ids.push(id)
      expect(ids).toEqual([...(await idsOf(local)), 'of-another'])
      expect(await synced.outbox()).toEqual([])
      // No chain of this device is unknown to the server.
      expect(server.requests.filter(({ status }) => status !== 200)).toEqual([])
    })

    test('N95: another device begins in the middle: the rest waits in the outbox, and nothing is there twice', async () => {
      const server = testSyncServer()
      let begun: Promise<unknown> | undefined
      const fetch = watching(server, () => {
        begun ??= server.append([{ stream: 's-0', type: 'Added', data: { n: 7 }, id: 'of-another' }])
      })
      const [local, synced] = [await localStore(), await syncedStore(server, undefined, fetch)]
      await heavy(local, 8)
      expect(await adoptStore(local, synced)).toEqual({ confirmed: 3, pending: 5 })
      await syncOnce(synced)
      const ids: string[] = []
      for await (const { id } of synced.read()) ids.push(id)
      expect(ids.indexOf('of-another')).toBe(3)
      expect(ids.filter((id) => id !== 'of-another')).toEqual(await idsOf(local))
      expect((await server.log()).map(({ id }) => id)).toEqual(ids)
      expect(await synced.outbox()).toEqual([])
    })

    test('a server that refuses commits of it: they are refused, and the others are there', async () => {
      const server = testSyncServer()
      server.refuse(({ events: [event] }) => event?.stream === 's-1' && { code: 'no', message: 'No.' })
      const [local, synced] = [await localStore(), await syncedStore(server)]
      await fill(local, 9)
      expect(await adoptStore(local, synced)).toEqual({ confirmed: 0, pending: 9 })
      await syncOnce(synced)
      expect((await synced.outbox()).map(({ status, refusal }) => [status, refusal?.code])).toEqual(
        Array.from({ length: 3 }, () => ['refused', 'no']),
      )
      expect(await synced.head()).toBe((await server.log()).length)
    })

    test('a server log that is not empty: its events come first, then the adopted ones, in their order', async () => {
      const server = testSyncServer()
      const other = await syncedStore(server)
      await other.append('s-0', added(7))
      await syncOnce(other)
      const [local, synced] = [await localStore(), await syncedStore(server)]
      await fill(local, 12)
      await syncOnce(synced)
      expect(await adoptStore(local, synced)).toEqual({ confirmed: 0, pending: 12 })
      await syncOnce(synced)
      const ids: string[] = []
      for await (const { id } of synced.read()) ids.push(id)
      expect(ids.slice(1)).toEqual(await idsOf(local))
      expect(await synced.outbox()).toEqual([])
    })

    test('nothing is stored twice: called again, after it was sent, and by a store that lost its outbox', async () => {
      const server = testSyncServer()
      server.partition('both')
      const [local, synced] = [await localStore(), await syncedStore(server)]
      await fill(local, 10)
      await adoptStore(local, synced)
      server.partition()
      expect(await adoptStore(local, synced)).toEqual({ confirmed: 0, pending: 0 })
      expect(await synced.outbox()).toHaveLength(10)
      await syncOnce(synced)
      expect(await adoptStore(local, synced)).toEqual({ confirmed: 0, pending: 0 })
      expect(await synced.outbox()).toEqual([])
      // The same user on a store that knows nothing of it.
      const { name } = synced
      await synced.close()
      if (onDevice) await deleteEventStore(name)
      const again = await syncedStore(server, name)
      await syncOnce(again)
      expect(await adoptStore(local, again)).toEqual({ confirmed: 10, pending: 0 })
      expect(await again.outbox()).toEqual([])
    })

    test('two calls at once send each commit once to the log', async () => {
      const server = testSyncServer()
      const [local, synced] = [await localStore(), await syncedStore(server)]
      await fill(local, 30)
      const results = await Promise.all([adoptStore(local, synced), adoptStore(local, synced)])
      expect(results[0].confirmed + results[1].confirmed).toBe(30)
      expect(await synced.outbox()).toEqual([])
      expect((await server.log()).map(({ id }) => id)).toEqual(await idsOf(local))
      expect(await lines(synced)).toEqual(await lines(local))
    })

    test('two calls at once put each commit into the outbox once', async () => {
      const server = testSyncServer()
      server.partition('both')
      const [local, synced] = [await localStore(), await syncedStore(server)]
      await fill(local, 30)
      const results = await Promise.all([adoptStore(local, synced), adoptStore(local, synced)])
      expect(results[0].pending + results[1].pending).toBe(30)
      expect((await pendingIds(synced)).flat()).toEqual(await idsOf(local))
    })

    test('what is appended while it runs is adopted, or refused: nothing is lost', async () => {
      const [local, synced] = [await localStore(), await syncedStore()]
      const tab = onDevice ? await localStore(local.name) : local
      await fill(local, 20)
      const acknowledged: number[] = []
      const append = async (n: number) => {
        await tab.append({ stream: 'tab', events: [added(n)] })
        acknowledged.push(n)
      }
      const appending = (async () => {
        for (let n = 1; n <= 30; n += 1) {
          await append(n)
          // The other tab has its turn, too.
          await new Promise((resolve) => setTimeout(resolve))
        }
      })().catch((error: unknown) => error)
      await adoptStore(local, synced)
      const ended = await appending
      if (ended !== undefined) expect(ended).toMatchObject({ code: 'unsupported-format' })
      await expect(append(31)).rejects.toMatchObject({ code: 'unsupported-format' })
      const taken: number[] = []
      for await (const { data } of synced.readStream('tab')) taken.push(data.n)
      expect(taken).toEqual(acknowledged)
      const adopted: string[] = []
      for await (const { id } of synced.read()) adopted.push(id)
      expect([...adopted, ...(await pendingIds(synced)).flat()]).toEqual(await idsOf(local))
    })

    test('N96: a tab that appends without a pause does not keep it from its end', async () => {
      const [local, synced] = [await localStore(), await syncedStore()]
      const tab = onDevice ? await localStore(local.name) : local
      await fill(local, 20)
      let acknowledged = 0
      const appending = (async () => {
        // Several wait in the queue at all times.
        for (;;) {
          await Promise.all([1, 2, 3, 4].map(async () => (await tab.append('tab', added(1)), (acknowledged += 1))))
          // What is in memory would never let anything else run.
          if (!onDevice) await new Promise((resolve) => setTimeout(resolve))
        }
      })().catch((error: unknown) => error)
      await adoptStore(local, synced)
      expect(await appending).toMatchObject({ code: 'unsupported-format' })
      let taken = 0
      for await (const _ of synced.readStream('tab')) taken += 1
      expect(taken).toBe(acknowledged)
    })

    test('N114: then nothing is appended to the local store, also by a writer that does not look first; it can be read', async () => {
      const [local, synced] = [await localStore(), await syncedStore()]
      const tab = onDevice ? await localStore(local.name) : local
      await fill(tab, 5)
      const ids = await idsOf(tab)
      await adoptStore(local, synced)
      // This one appended last, so it writes without a look.
      await expect(tab.append({ stream: 's-0', events: [added(1)] })).rejects.toMatchObject({
        code: 'unsupported-format',
        reason: 'adopted',
        message: expect.stringContaining(`adopted by the synced store '${synced.name}'`),
      })
      await expect(local.append({ stream: 's-0', events: [added(1)] })).rejects.toMatchObject({
        code: 'unsupported-format',
      })
      expect(await idsOf(tab)).toEqual(ids)
      if (onDevice) {
        const later = await localStore(local.name)
        expect(await idsOf(later)).toEqual(ids)
        await expect(later.append({ stream: 's-0', events: [added(1)] })).rejects.toMatchObject({
          code: 'unsupported-format',
        })
      }
      expect((await verifyEventStore(tab)).defects).toEqual([])
    })

    test('an empty local store is closed as well', async () => {
      const [local, synced] = [await localStore(), await syncedStore()]
      expect(await adoptStore(local, synced)).toEqual({ confirmed: 0, pending: 0 })
      await expect(local.append({ stream: 's', events: [added(1)] })).rejects.toMatchObject({
        code: 'unsupported-format',
      })
      expect(await local.head()).toBe(0)
    })

    test('another synced store does not get it: its user is another one', async () => {
      const [local, anna, bert] = [await localStore(), await syncedStore(), await syncedStore()]
      await fill(local, 3)
      await adoptStore(local, anna)
      await expect(adoptStore(local, bert)).rejects.toMatchObject({
        code: 'invalid-argument',
        message: expect.stringContaining(`adopted by another synced store, '${anna.name}'`),
      })
      expect(await bert.outbox()).toEqual([])
    })

    test('what is too large for a server is refused, with its position, before anything is stored', async () => {
      const [local, synced] = [await localStore(), await syncedStore()]
      await fill(local, 3)
      const position = (await local.head()) + 1
      await local.append({ stream: 'big', events: Array.from({ length: 1001 }, (_, n) => added(n)) })
      await expect(adoptStore(local, synced)).rejects.toMatchObject({
        code: 'invalid-event',
        path: expect.stringContaining(`position ${position + 1000}`),
      })
      expect(await synced.outbox()).toEqual([])
      await fill(local, 1)
      // No store has claimed it.
      const other = await syncedStore()
      await expect(adoptStore(local, other)).rejects.toMatchObject({ code: 'invalid-event' })
    })

    test('N96: what is too large is refused at the end as well, and the local store stays open', async () => {
      const [local, synced] = [await localStore(), await syncedStore()]
      await fill(local, 3)
      let looks = 0
      let big = 0
      // Another tab appends between two looks.
      const busy = {
        ...local,
        async head() {
          const head = await local.head()
          looks += 1
          if (looks === 4) big = head + 1
          await local.append({
            stream: 'tab',
            events: Array.from({ length: looks === 4 ? 1001 : 2 }, () => added(looks)),
          })
          return head
        },
      }
      const refused = await adoptStore(busy as typeof local, synced).catch((error: unknown) => error)
      expect(refused).toMatchObject({
        code: 'invalid-event',
        path: expect.stringContaining(`position ${big + 1000}`),
      })
      expect(looks).toBe(4)
      // It can go on, and what it has is in both.
      const { position } = await local.append({ stream: 's', events: [added(1)] })
      expect(position).toBe(big + 1001)
      const adopted: string[] = []
      for await (const { id } of synced.read()) adopted.push(id)
      expect([...adopted, ...(await pendingIds(synced)).flat()]).toEqual((await idsOf(local)).slice(0, big - 1))
      await expect(adoptStore(local, synced)).rejects.toMatchObject({ code: 'invalid-event' })
    })

    test('an aborted call ends with its reason, and the next one does the rest', async () => {
      const [local, synced] = [await localStore(), await syncedStore()]
      await fill(local, 6)
      const reason = new Error('left')
      await expect(adoptStore(local, synced, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
      expect(await adoptStore(local, synced)).toEqual({ confirmed: 6, pending: 0 })
    })

    test('bad arguments', async () => {
      const [local, synced] = [await localStore(), await syncedStore()]
      const adopt = adoptStore as (...given: unknown[]) => Promise<unknown>
      for (const given of [
        [synced, synced],
        [local, local],
        [local],
        [undefined, synced],
        [{}, synced],
        [local, synced, { sinal: undefined }],
        [local, synced, { signal: 1 }],
      ])
        await expect(adopt(...given)).rejects.toMatchObject({ code: 'invalid-argument' })
      expect(await local.append({ stream: 's', events: [added(1)] })).toMatchObject({ position: 1 })
      const closed = await openLocal(`closed-${crypto.randomUUID()}`)
      await closed.close()
      await expect(adoptStore(closed, synced)).rejects.toMatchObject({ code: 'closed' })
    })

    test('rows are those of the local store, before the server has anything and after it', async () => {
      const server = testSyncServer()
      server.partition('both')
      const [local, synced] = [await localStore(), await syncedStore(server)]
      await fill(local, 60)
      await runProjection(local, sums)
      const localView = kept(await openLocalReadModel(local, sums))
      const before = await localView.sums.getAll()
      expect(before).toHaveLength(3)
      await adoptStore(local, synced)
      const view = kept(await openReadModel(synced, sums))
      expect(await view.sums.getAll()).toEqual(before)
      server.partition()
      await syncOnce(synced)
      await runProjection(synced as unknown as TidemarkStore<Event>, sums)
      expect(await view.sums.getAll()).toEqual(before)
    })

    test('5,000 events in commits of several, while it syncs, and says how far it is', async () => {
      const server = testSyncServer()
      const [local, synced] = [await localStore(), await syncedStore(server)]
      for (let n = 0; n < 250; n += 1)
        await local.append(
          { stream: `s-${n % 50}`, events: Array.from({ length: 20 }, (_, index) => added(n * 20 + index)) },
          { durability: 'relaxed' },
        )
      const sync = startSync(synced)
      const told: unknown[] = []
      const stop = sync.status.subscribe(() => told.push(sync.status.getSnapshot().progress))
      try {
        expect(await adoptStore(local, synced)).toEqual({ confirmed: 250, pending: 0 })
        expect(told).toContainEqual({ done: 2000, total: 5000 })
        expect(sync.status.getSnapshot()).not.toHaveProperty('progress')
        expect(await lines(synced)).toEqual(await lines(local))
        expect(await sync.now()).toMatchObject({ status: 'idle', cursor: 5000, pending: 0 })
      } finally {
        stop()
        await sync.stop()
      }
    }, 60_000)
  })
}
