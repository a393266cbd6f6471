/** What every event store does, whatever it is stored in. Run against memory, fake-indexeddb and real browsers. */
import { describe, expect } from 'vitest'
import type { RecordedEvent, TidemarkStore } from 'tidemark'
import { leavingOut } from '../support/leaving-out.js'

export interface Subject {
  store: TidemarkStore
  /** A second instance on the same log, where there can be one. */
  another?: () => Promise<TidemarkStore>
}

const added = (value: unknown = 1) => ({ type: 'Added', data: { value } })

async function all(events: AsyncIterable<RecordedEvent>): Promise<RecordedEvent[]> {
  const list: RecordedEvent[] = []
  for await (const event of events) list.push(event)
  return list
}
const values = (events: readonly RecordedEvent[]) => events.map((event) => (event.data as { value: unknown }).value)

export function eventStoreContract(name: string, open: () => Promise<Subject>, leaveOut: readonly string[] = []): void {
  const test = leavingOut(leaveOut)
  describe(`event store: ${name}`, () => {
    const subject = async (run: (subject: Subject) => Promise<void>) => {
      const opened = await open()
      try {
        await run(opened)
      } finally {
        await opened.store.close()
      }
    }
    const on = (title: string, run: (store: TidemarkStore, subject: Subject) => Promise<void>) =>
      test(title, () => subject((opened) => run(opened.store, opened)))

    on('S1: an event appended to a new stream is what is read back', async (store) => {
      const result = await store.append({ stream: 'a', events: [added('x')], expectedVersion: 0 })
      expect(result).toMatchObject({ position: 1, firstPosition: 1, duplicate: false })
      expect({ ...result.versions }).toEqual({ a: 1 })
      const [event, ...rest] = await all(store.readStream('a'))
      expect(rest).toEqual([])
      expect(event).toMatchObject({ type: 'Added', data: { value: 'x' }, stream: 'a', version: 1, position: 1 })
      expect(event?.id).toMatch(/^[0-9a-f-]{36}$/)
      expect(event?.time).toBeTypeOf('number')
    })
    on('S2: an append that expects an old version conflicts and writes nothing', async (store) => {
      await store.append({ stream: 'a', events: [added()] })
      await expect(store.append({ stream: 'a', events: [added()], expectedVersion: 0 })).rejects.toMatchObject({
        code: 'version-conflict',
        stream: 'a',
        expected: 0,
        actual: 1,
        outcome: 'not-written',
      })
      expect(await store.head()).toBe(1)
    })
    on('S3: one append over two streams gives each its own events', async (store) => {
      await store.append([
        { stream: 'a', events: [added('a')] },
        { stream: 'b', events: [added('b')] },
      ])
      expect(values(await all(store.readStream('a')))).toEqual(['a'])
      expect(values(await all(store.readStream('b')))).toEqual(['b'])
    })
    on('S4: an unknown stream reads as empty', async (store) => {
      expect(await all(store.readStream('nobody'))).toEqual([])
      expect(await store.streamVersion('nobody')).toBe(0)
    })
    on('S5: a conflict on one stream leaves every stream of the append untouched', async (store) => {
      await store.append([
        { stream: 'l', events: [added()] },
        { stream: 'r', events: [added()] },
      ])
      await expect(
        store.append([
          { stream: 'l', events: [added()], expectedVersion: 0 },
          { stream: 'r', events: [added()], expectedVersion: 1 },
        ]),
      ).rejects.toMatchObject({ code: 'version-conflict' })
      expect([await store.streamVersion('l'), await store.streamVersion('r')]).toEqual([1, 1])
    })
    on('S6: a participant without events is checked too', async (store) => {
      await store.append({ stream: 'p', events: [added()] })
      await expect(
        store.append([
          { stream: 'p', events: [], expectedVersion: 0 },
          { stream: 't', events: [added()] },
        ]),
      ).rejects.toMatchObject({ code: 'version-conflict', stream: 'p' })
      expect(await store.streamVersion('t')).toBe(0)
    })
    on('S7: a participant at the right version lets the append through', async (store) => {
      await store.append({ stream: 'p', events: [added()] })
      await store.append([
        { stream: 'p', events: [], expectedVersion: 1 },
        { stream: 't', events: [added()] },
      ])
      expect(await store.streamVersion('t')).toBe(1)
    })
    on('S9: a stream is read after a version', async (store) => {
      await store.append({ stream: 'a', events: [added(1), added(2), added(3)] })
      expect(values(await all(store.readStream('a', { after: 2 })))).toEqual([3])
      expect(values(await all(store.readStream('a', { after: 1, limit: 1 })))).toEqual([2])
    })
    on('S14: 250 and 1200 events in one append come back in order', async (store) => {
      const list = (count: number) => Array.from({ length: count }, (_, index) => added(index))
      await store.append({ stream: 'a', events: list(250) })
      await store.append({ stream: 'b', events: list(1200) })
      expect(values(await all(store.readStream('b')))).toEqual(list(1200).map((event) => event.data.value))
      const events = await all(store.read())
      expect(events.map((event) => event.position)).toEqual(Array.from({ length: 1450 }, (_, index) => index + 1))
    })
    on('S16: versions and positions have no holes over many appends', async (store) => {
      for (let round = 0; round < 20; round += 1)
        await store.append({ stream: `s${round % 3}`, events: [added(round)] })
      const events = await all(store.read())
      expect(events.map((event) => event.position)).toEqual(Array.from({ length: 20 }, (_, index) => index + 1))
      const own = events.filter((event) => event.stream === 's0')
      expect(own.map((event) => event.version)).toEqual(own.map((_, index) => index + 1))
    })
    on('S17: of two appends that expect 0 one wins, and the other can retry at 1', async (store) => {
      const results = await Promise.allSettled(
        [1, 2].map((value) => store.append({ stream: 'a', events: [added(value)], expectedVersion: 0 })),
      )
      expect(results.map((result) => result.status).sort()).toEqual(['fulfilled', 'rejected'])
      await store.append({ stream: 'a', events: [added(3)], expectedVersion: 1 })
      expect(await store.streamVersion('a')).toBe(2)
    })
    on('expected versions: no-stream, stream-exists, any', async (store) => {
      await expect(
        store.append({ stream: 'a', events: [added()], expectedVersion: 'stream-exists' }),
      ).rejects.toMatchObject({ code: 'version-conflict' })
      await store.append({ stream: 'a', events: [added()], expectedVersion: 'no-stream' })
      await expect(
        store.append({ stream: 'a', events: [added()], expectedVersion: 'no-stream' }),
      ).rejects.toMatchObject({ code: 'version-conflict' })
      await store.append({ stream: 'a', events: [added()], expectedVersion: 'stream-exists' })
      await store.append({ stream: 'a', events: [added()], expectedVersion: 'any' })
      expect(await store.streamVersion('a')).toBe(3)
    })
    on('R1, R2, R8, R9: pages follow each other in order, after is exclusive', async (store) => {
      for (let value = 1; value <= 5; value += 1) await store.append({ stream: `s${value}`, events: [added(value)] })
      expect(values((await store.readPage({ after: 3, limit: 10 })).events)).toEqual([4, 5])
      const page = await store.readPage({ limit: 2 })
      expect(values(page.events)).toEqual([1, 2])
      expect(page).toMatchObject({ scannedTo: 2, head: 5 })
    })
    on('R3, R4: a prefix is the start of the name', async (store) => {
      await store.append(
        ['account-1', 'my-account-4', 'order-7', 'account-2'].map((stream) => ({ stream, events: [added(stream)] })),
      )
      expect(values(await all(store.read({ filter: { streamPrefix: 'account-' } })))).toEqual([
        'account-1',
        'account-2',
      ])
    })
    on('R5, R6, R7: a pattern is applied before the limit', async (store) => {
      for (let at = 0; at < 50; at += 1) await store.append({ stream: `order-${at}`, events: [added(at)] })
      await store.append([
        { stream: 'account-7', events: [added('seven')] },
        { stream: 'account-a', events: [added('a')] },
      ])
      expect(values((await store.readPage({ filter: { streamPattern: 'account-*' }, limit: 10 })).events)).toEqual([
        'seven',
        'a',
      ])
      expect(values((await store.readPage({ filter: { streamPattern: 'account-[0-9]*' }, limit: 10 })).events)).toEqual(
        ['seven'],
      )
      expect(values((await store.readPage({ filter: { streamPattern: 'account-?' }, limit: 1 })).events)).toEqual([
        'seven',
      ])
    })
    on('R10: a type is applied before the limit', async (store) => {
      await store.append({
        stream: 'a',
        events: [...Array.from({ length: 5 }, () => ({ type: 'Alpha', data: null })), { type: 'Beta', data: null }],
      })
      expect((await store.readPage({ filter: { types: ['Beta'] }, limit: 3 })).events).toHaveLength(1)
      expect((await store.readPage({ filter: { types: [] }, limit: 3 })).events).toHaveLength(0)
    })
    on('N9: prefixes are exact code units', async (store) => {
      const names = ['a_1', 'ab1', 'A_1', 'a%1', '\uffffx', '😀-x', '😁-x']
      await store.append(names.map((stream) => ({ stream, events: [added(stream)] })))
      for (const prefix of ['a_', 'a%', 'A', '\uffff', '\ud83d', '😀', '']) {
        expect(values(await all(store.read({ filter: { streamPrefix: prefix } }))), prefix).toEqual(
          names.filter((name) => name.startsWith(prefix)),
        )
      }
    })
    on('N10: a page where nothing matches still says how far it looked', async (store) => {
      await store.append({ stream: 'a', events: Array.from({ length: 3000 }, () => added()) })
      expect(await store.readPage({ filter: { types: ['Other'] }, limit: 10 })).toEqual({
        events: [],
        scannedTo: 3000,
        head: 3000,
      })
    })
    on('N11: an empty append checks its versions', async (store) => {
      await store.append({ stream: 'a', events: [added(), added()] })
      await expect(store.append({ stream: 'a', events: [], expectedVersion: 1 })).rejects.toMatchObject({
        code: 'version-conflict',
      })
      expect(await store.append({ stream: 'a', events: [], expectedVersion: 2 })).toMatchObject({
        position: 2,
        firstPosition: 2,
        duplicate: false,
      })
    })
    on('H15: a limit of 0 reads nothing', async (store) => {
      await store.append({ stream: 'a', events: [added()] })
      expect((await store.readPage({ limit: 0 })).events).toEqual([])
    })
    on('H17: the same ids again are the first result, and some of them are refused', async (store) => {
      const batch = ['one', 'two'].map((id) => ({ ...added(id), id }))
      const first = await store.append({ stream: 'a', events: batch, expectedVersion: 0 })
      await store.append({ stream: 'b', events: [added()] })
      const again = await store.append({ stream: 'a', events: batch, expectedVersion: 0 })
      expect({ ...again, versions: { ...again.versions } }).toEqual({
        ...first,
        versions: { ...first.versions },
        duplicate: true,
      })
      await expect(
        store.append({
          stream: 'a',
          events: [
            { ...added(), id: 'two' },
            { ...added(), id: 'three' },
          ],
        }),
      ).rejects.toMatchObject({ code: 'invalid-event' })
      expect(await store.append({ stream: 'a', events: [{ ...added('two'), id: 'two' }] })).toMatchObject({
        duplicate: true,
        position: 2,
      })
      await expect(
        store.append({ stream: 'c', events: [{ ...added('two'), id: 'two' }], expectedVersion: 'no-stream' }),
      ).rejects.toMatchObject({ code: 'invalid-event', outcome: 'not-written' })
      expect(await store.head()).toBe(3)
    })
    on('H47: what JSON would lose is refused with its path, and nothing is written', async (store) => {
      for (const [bad, path] of [
        [new Date(), 'events[0].data.value'],
        [Number.NaN, 'events[0].data.value'],
        [[1, undefined], 'events[0].data.value[1]'],
        [{ 'odd key': () => 1 }, 'events[0].data.value["odd key"]'],
      ] as const) {
        await expect(store.append({ stream: 'a', events: [added(bad)] })).rejects.toMatchObject({
          code: 'invalid-event',
          path,
          outcome: 'not-written',
        })
      }
      expect(await store.head()).toBe(0)
    })
    on('H48: names of Object.prototype are names like any other', async (store) => {
      for (const name of ['__proto__', 'constructor', 'toString']) {
        const result = await store.append({
          stream: name,
          events: [{ type: name, data: JSON.parse('{"__proto__": 1}') as unknown }],
        })
        expect(result.versions[name]).toBe(1)
        expect((await store.readPage({ filter: { types: [name] }, limit: 5 })).events).toHaveLength(1)
      }
      expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
    })
    on('H50: positions and limits that are none are refused', async (store) => {
      for (const bad of [Number.NaN, Infinity, -1, 1.5, 2 ** 53, '1']) {
        await expect(store.readPage({ after: bad as number, limit: 1 })).rejects.toMatchObject({
          code: 'invalid-argument',
        })
        await expect(store.readPage({ limit: bad as number })).rejects.toMatchObject({ code: 'invalid-argument' })
      }
    })
    on('condition refuses an append once such an event came', async (store) => {
      await store.append({ stream: 'a', events: [{ type: 'Taken', data: 'x' }] })
      const options = (after: number) => ({ condition: { failIfEventsMatch: { types: ['Taken'] }, after } })
      await expect(store.append({ stream: 'b', events: [added()] }, options(0))).rejects.toMatchObject({
        code: 'condition-failed',
        position: 1,
      })
      await store.append({ stream: 'b', events: [added()] }, options(1))
      expect(await store.head()).toBe(2)
    })
    on('N39: an aborted append writes nothing and rejects with the reason', async (store) => {
      const reason = new Error('no longer wanted')
      await expect(
        store.append({ stream: 'a', events: [added()] }, { signal: AbortSignal.abort(reason) }),
      ).rejects.toBe(reason)
      expect(await store.head()).toBe(0)
    })
    on('K1–K4: checkpoints are kept per name, and compared when asked', async (store) => {
      expect(await store.checkpoints.load('p')).toBeUndefined()
      await store.checkpoints.save('p', 5)
      await store.checkpoints.save('q', 7)
      await store.checkpoints.save('p', 6, { expected: 5 })
      await expect(store.checkpoints.save('p', 9, { expected: 5 })).rejects.toMatchObject({ code: 'leadership-lost' })
      expect([await store.checkpoints.load('p'), await store.checkpoints.load('q')]).toEqual([6, 7])
    })
    on('L1–L4: a name is led by one, names do not disturb each other, and releasing frees', async (store) => {
      const guard = await store.coordinator.tryAcquire('a')
      expect(guard).toBeDefined()
      expect(await store.coordinator.tryAcquire('a')).toBeUndefined()
      const other = await store.coordinator.tryAcquire('b')
      expect(other).toBeDefined()
      const waiting = store.coordinator.acquire('a')
      guard?.release()
      const next = await waiting
      next.release()
      other?.release()
      const again = await store.coordinator.acquire('a')
      again.release()
    })
    on('subscribers hear of appends', async (store) => {
      const heard = new Promise<number>((resolve) => store.subscribe(resolve))
      await store.append({ stream: 'a', events: [added(), added()] })
      expect(await heard).toBe(2)
    })
    test('a closed store says so', () =>
      subject(async ({ store }) => {
        await store.close()
        await expect(store.append({ stream: 'a', events: [added()] })).rejects.toMatchObject({ code: 'closed' })
      }))
    on(
      'H10, I2: a big batch that comes just after an append of another instance is stored whole',
      async (store, { another }) => {
        if (another === undefined) return
        const second = await another()
        try {
          const expected: unknown[] = []
          for (let round = 0; round < 5; round += 1) {
            // More than one record, and written at once to where the other's event is: the hint of that has not come yet.
            const batch = Array.from({ length: 600 }, (_, index) => added(`${round}-${index}`))
            await store.append({ stream: 'a', events: [added('known')] })
            await second.append({ stream: 'a', events: [added('other')] })
            await store.append({ stream: 'a', events: batch })
            expected.push('known', 'other', ...batch.map(({ data }) => data.value))
          }
          expect(values(await all(store.read()))).toEqual(expected)
        } finally {
          await second.close()
        }
      },
    )
    on('H10: two instances that append at once leave no hole, and every event once', async (store, { another }) => {
      if (another === undefined) return
      const second = await another()
      try {
        await Promise.all(
          [store, second].map(async (instance, who) => {
            for (let at = 0; at < 40; at += 1)
              await instance.append([
                { stream: 'shared', events: [added(`${who}-${at}`)] },
                { stream: `own-${who}`, events: [added(at)] },
              ])
          }),
        )
        const events = await all(store.read())
        expect(events.map((event) => event.position)).toEqual(Array.from({ length: 160 }, (_, index) => index + 1))
        const shared = events.filter((event) => event.stream === 'shared')
        expect(shared.map((event) => event.version)).toEqual(Array.from({ length: 80 }, (_, index) => index + 1))
        expect(new Set(values(shared)).size).toBe(80)
      } finally {
        await second.close()
      }
    })
  })
}
