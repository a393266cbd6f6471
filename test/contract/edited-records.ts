/** H50, N37: records that were edited by hand, where no record can be. Each is an error with a name, wherever it is met, and nothing is stored on top of it. */
import { describe, expect, test } from 'vitest'
import {
  compactEvents,
  exportEvents,
  openEventStore,
  verifyEventStore,
  type RecordedEvent,
  type TidemarkStore,
} from 'tidemark'
import { editRecord, editRows } from '../support/raw-database.js'

const event = { type: 'A', data: null }
const greatest = Number.MAX_SAFE_INTEGER

async function all(events: AsyncIterable<RecordedEvent>): Promise<number[]> {
  const list: number[] = []
  for await (const { position } of events) list.push(position)
  return list
}

/** A record that holds one event, as this build writes it. */
const record = (at: unknown, version = 99, n = 1) => ({
  at,
  n,
  heads: [['z', version]],
  commits: [typeof at === 'number' ? at : 1e9],
  ids: ['~edited'],
  events: JSON.stringify([{ type: 'A', data: null, stream: 'z', id: 'edited', time: 0, version }]),
})

export function editedRecordsContract(): void {
  let count = 0
  /** A log of six events in records of one, and one more record that was put there by hand; opened before that, after it, or with the head known. */
  const edited = async (put: object, when: 'cold' | 'warm') => {
    const name = `edited-${(count += 1)}-${Math.random()}`
    const store = await openEventStore({ name })
    for (let at = 0; at < 6; at += 1) await store.append({ stream: 'a', events: [event] })
    await editRows(name, ({ commits }) => void commits.put(put))
    if (when === 'warm') return store
    await store.close()
    return openEventStore({ name })
  }
  const integrity = { code: 'log-inconsistent', message: expect.stringContaining('edited or damaged') }

  describe.each(['cold', 'warm'] as const)('records edited by hand, %s', (when) => {
    const within = async (put: object, work: (store: TidemarkStore) => Promise<void>) => {
      const store = await edited(put, when)
      try {
        await work(store)
      } finally {
        await store.close()
      }
    }

    test.for<[string, object]>([
      ['at 2 ** 53 - 1', record(greatest)],
      ['at 2 ** 53 - 2, of two events', record(greatest - 1, 99, 2)],
      ['at 2 ** 53', record(2 ** 53)],
      ['at 1e300', record(1e300)],
      ['at Infinity', record(Infinity)],
      ['at 7.5', record(7.5)],
      ["at '7'", record('7')],
      ['at a date', record(new Date(0))],
      ['at a list', record([7])],
      ['of no events', { ...record(7), n: 0 }],
      ['of half an event', { ...record(7), n: 0.5 }],
      ['of -1 events', { ...record(7), n: -1 }],
      ['of 1e9 events', { ...record(7), n: 1e9 }],
      ['of NaN events', { ...record(7), n: Number.NaN }],
      ["of '1' event", { ...record(7), n: '1' }],
    ])(
      'the last record %s: head, read, readPage and appends that look say so; nothing is stored behind it',
      async ([, put]) => {
        await within(put, async (store) => {
          await expect(store.head()).rejects.toMatchObject(integrity)
          await expect(all(store.read())).rejects.toMatchObject(integrity)
          await expect(all(store.read({ direction: 'backwards', limit: 1 }))).rejects.toMatchObject(integrity)
          for (const after of [0, 3, 6])
            await expect(store.readPage({ after, limit: 10 })).rejects.toMatchObject(integrity)
          const condition = { condition: { failIfEventsMatch: { types: ['Never'] }, after: 0 } }
          await expect(store.append({ stream: 'a', events: [event] }, condition)).rejects.toMatchObject({
            ...integrity,
            outcome: 'not-written',
          })
          await expect(store.append({ stream: 'new', events: [event], expectedVersion: 0 })).rejects.toMatchObject({
            ...integrity,
            outcome: 'not-written',
          })
          expect(await verifyEventStore(store)).toMatchObject({ ok: false })
          expect(await all(store.readStream('a'))).toEqual([1, 2, 3, 4, 5, 6])
        })
      },
    )

    test.for([0.5, 1.5, 3.5, 5.5, 0, -1, -0.5])('a record at %d, before the last: no read passes it by', async (at) => {
      await within(record(at), async (store) => {
        await expect(all(store.read())).rejects.toMatchObject(integrity)
        await expect(all(store.readStream('z'))).rejects.toMatchObject(integrity)
        const pages = async () => {
          for (let after = 0; after < 6; after = (await store.readPage({ after, limit: 1 })).scannedTo);
        }
        await expect(pages()).rejects.toMatchObject(integrity)
        expect(await verifyEventStore(store)).toMatchObject({
          ok: false,
          defects: expect.arrayContaining([expect.objectContaining({ kind: 'record' })]),
        })
        expect(await all(store.readStream('a'))).toEqual([1, 2, 3, 4, 5, 6])
      })
    })

    test.for([1.5, 3.5, 5.5])('a record at %d: a read backwards comes as far as that', async (at) => {
      await within(record(at), async (store) => {
        const read: number[] = []
        const reading = async () => {
          for await (const { position } of store.read({ direction: 'backwards' })) read.push(position)
        }
        await expect(reading()).rejects.toMatchObject(integrity)
        expect(read).toEqual([6, 5, 4, 3, 2].filter((position) => position > at))
        expect(await all(store.readStream('a', { direction: 'backwards' }))).toEqual([6, 5, 4, 3, 2, 1])
      })
    })

    test.for<[string, unknown]>([
      ['2 ** 53 - 1', greatest],
      ['1e300', 1e300],
      ["'2'", '2'],
      ['1.5', 1.5],
    ])('a stream that is indexed at version %s takes no event more', async ([, version]) => {
      await within({ ...record(7), heads: [['z', version]] }, async (store) => {
        await expect(store.append({ stream: 'z', events: [event] })).rejects.toMatchObject({
          ...integrity,
          outcome: 'not-written',
        })
        expect(await store.append({ stream: 'b', events: [event] })).toMatchObject({ position: 8, versions: { b: 1 } })
      })
    })

    test('versions end before 2 ** 53 - 1', async () => {
      await within({ ...record(7), heads: [['z', greatest - 3]] }, async (store) => {
        expect(await store.append({ stream: 'z', events: [event] })).toMatchObject({ versions: { z: greatest - 2 } })
        await expect(store.append({ stream: 'z', events: [event, event] })).rejects.toMatchObject({
          ...integrity,
          outcome: 'not-written',
        })
        expect(await store.append({ stream: 'z', events: [event] })).toMatchObject({ versions: { z: greatest - 1 } })
        for (const count of [1, 600])
          await expect(
            store.append({ stream: 'z', events: Array.from({ length: count }, () => event) }),
          ).rejects.toMatchObject({ ...integrity, outcome: 'not-written' })
        expect(await store.streamVersion('z')).toBe(greatest - 1)
      })
    })

    test('positions end before 2 ** 53 - 1', async () => {
      await within(record(greatest - 3), async (store) => {
        expect(await store.append({ stream: 'new', events: [event] })).toMatchObject({ position: greatest - 2 })
        await expect(store.append({ stream: 'new', events: [event, event] })).rejects.toMatchObject({
          ...integrity,
          outcome: 'not-written',
        })
        expect(await store.append({ stream: 'new', events: [event] })).toMatchObject({ position: greatest - 1 })
        for (const stream of ['new', 'newer'])
          await expect(store.append({ stream, events: [event] })).rejects.toMatchObject({
            ...integrity,
            outcome: 'not-written',
          })
        expect(await store.head()).toBe(greatest - 1)
      })
    })

    test.for([
      [3, 2],
      [1, 2],
      [2, 1],
      [2, 3],
    ])('a record that says %d events and holds %d is unreadable, and not taken for sound', async ([says, holds]) => {
      const events = Array.from({ length: holds as number }, (_, at) => ({
        ...event,
        stream: 'z',
        id: `edited-${at}`,
        time: 0,
        version: at + 1,
      }))
      await within({ ...record(7), n: says, events: JSON.stringify(events) }, async (store) => {
        expect((await store.readPage({ limit: 20 })).events.map(({ position }) => position)).toEqual([1, 2, 3, 4, 5, 6])
        await expect(store.readPage({ after: 6, limit: 20 })).rejects.toMatchObject({
          code: 'event-unreadable',
          position: 7,
        })
        await expect(all(store.readStream('z'))).rejects.toMatchObject({ code: 'event-unreadable', position: 7 })
      })
    })
  })

  /** A log of ten events in records of one, the third of which was changed. */
  const changed = async (change: (record: any) => unknown) => {
    const name = `edited-${(count += 1)}-${Math.random()}`
    const store = await openEventStore({ name })
    for (let at = 0; at < 10; at += 1) await store.append({ stream: 'a', events: [event] })
    await editRecord(name, 3, change)
    return store
  }
  const withEvent = (change: object) => (record: any) => ({
    ...record,
    events: JSON.stringify(JSON.parse(record.events).map((one: object) => ({ ...one, ...change }))),
  })

  test.for<[string, unknown]>([
    ['nothing', undefined],
    ['null', null],
    ['a number', 3],
    ['a date', new Date(0)],
    ['an object', {}],
    ['bytes', new Uint8Array(3)],
  ])('a record whose events are %s is unreadable, and others are not', async ([, events]) => {
    const store = await changed((record) => ({ ...record, events }))
    for (let time = 0; time < 2; time += 1) {
      await expect(store.readPage({ after: 2, limit: 5 })).rejects.toMatchObject({
        code: 'event-unreadable',
        position: 3,
      })
      await expect(all(store.read())).rejects.toMatchObject({ code: 'event-unreadable', position: 3 })
      await expect(all(store.readStream('a'))).rejects.toMatchObject({ code: 'event-unreadable', position: 3 })
      expect(await all(store.read({ after: 3 }))).toEqual([4, 5, 6, 7, 8, 9, 10])
      expect(await all(store.readStream('a', { after: 3 }))).toEqual([4, 5, 6, 7, 8, 9, 10])
      for (const back of [
        (options: object) => store.read({ direction: 'backwards', ...options }),
        (options: object) => store.readStream('a', { direction: 'backwards', ...options }),
      ]) {
        expect(await all(back({ after: 3 }))).toEqual([10, 9, 8, 7, 6, 5, 4])
        expect(await all(back({ before: 3 }))).toEqual([2, 1])
        const read: number[] = []
        const reading = async () => {
          for await (const { position } of back({})) read.push(position)
        }
        await expect(reading()).rejects.toMatchObject({ code: 'event-unreadable', position: 3 })
        expect(read).toEqual([10, 9, 8, 7, 6, 5, 4])
      }
    }
    await compactEvents(store)
    expect(await verifyEventStore(store)).toMatchObject({ ok: false, events: 9 })
    await store.close()
  })

  test.for<[string, (record: any) => unknown]>([
    ['is of no stream', (record) => ({ ...record, heads: [] })],
    ['has no versions', (record) => ({ ...record, heads: null })],
    ['is of another stream', (record) => ({ ...record, heads: [['b', 3]] })],
    ['names an earlier version', (record) => ({ ...record, heads: [['a', 1]] })],
    ['names half a version', (record) => ({ ...record, heads: [['a', 3.5]] })],
    ['names no version', (record) => ({ ...record, heads: [['a', '3']] })],
    ['holds an event of version 0', withEvent({ version: 0 })],
    ['holds an event of version 99', withEvent({ version: 99 })],
    ['holds an event of no version', withEvent({ version: null })],
    ['holds an event of no stream', withEvent({ stream: null })],
  ])('a stream of which one record %s is not read past what is missing', async ([, change]) => {
    const store = await changed(change)
    const read: number[] = []
    await expect(
      (async () => {
        for await (const { position } of store.readStream('a')) read.push(position)
      })(),
    ).rejects.toMatchObject(integrity)
    expect([1, 2, 3]).toEqual(expect.arrayContaining(read))
    expect(await all(store.readStream('a', { after: 5, limit: 2 }))).toEqual([6, 7])
    read.length = 0
    await expect(
      (async () => {
        for await (const { position } of store.readStream('a', { direction: 'backwards' })) read.push(position)
      })(),
    ).rejects.toMatchObject(integrity)
    expect([10, 9, 8, 7, 6, 5, 4, 3]).toEqual(expect.arrayContaining(read))
    expect(await all(store.readStream('a', { direction: 'backwards', before: 8, limit: 2 }))).toEqual([7, 6])
    await store.close()
  })

  test.for([
    [1, [10, 9, 8, 7, 6, 5, 4, 3, 2]],
    [4, [10, 9, 8, 7, 6, 5]],
    [10, [9, 8, 7, 6, 5, 4, 3, 2, 1]],
  ] as const)(
    'backwards, a record %d that was deleted ends the read, unless it was the last',
    async ([gone, before]) => {
      const store = await changed((record) => record)
      await editRows(store.name, ({ commits }) => void commits.delete(gone))
      for (const back of [store.read({ direction: 'backwards' }), store.readStream('a', { direction: 'backwards' })]) {
        const read: number[] = []
        const reading = async () => {
          for await (const { position } of back) read.push(position)
        }
        if (gone === 10) await reading()
        else await expect(reading()).rejects.toMatchObject({ code: 'log-inconsistent' })
        expect(read).toEqual(before)
      }
      for (const before of [6, 5])
        expect(await all(store.read({ direction: 'backwards', before, after: 4 }))).toEqual(before === 6 ? [5] : [])
      if (gone === 4)
        for (const limit of [1, 5]) {
          const here = { direction: 'backwards', before: 5, limit } as const
          await expect(all(store.read(here))).rejects.toMatchObject({ code: 'log-inconsistent', position: 4 })
          await expect(all(store.readStream('a', here))).rejects.toMatchObject({ code: 'log-inconsistent' })
        }
      await store.close()
    },
  )

  test('what stands beside the versions of streams does not matter', async () => {
    const store = await changed((record) => ({ ...record, heads: [null, ...record.heads] }))
    expect(await all(store.readStream('a'))).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    expect(await all(store.readStream('a', { direction: 'backwards', limit: 9 }))).toEqual([10, 9, 8, 7, 6, 5, 4, 3, 2])
    await store.close()
  })

  test.for([undefined, null, 3, {}, 'x'])('a record whose commits are %s is exported', async (commits) => {
    const store = await changed((record) => ({ ...record, commits }))
    const lines: string[] = []
    for await (const line of exportEvents(store)) lines.push(line)
    expect(lines.length).toBe(11)
    await store.close()
  })

  test.for([{ time: 'x' }, { schema: 'x' }, { version: '3' }, { id: null }, { data: undefined }])(
    'compaction joins nothing with an event that has %o',
    async (change) => {
      const store = await changed(withEvent(change))
      await compactEvents(store, { eventsPerRecord: 2 })
      for (const after of [0, 3]) expect((await store.readPage({ after, limit: 20 })).events.length).toBe(10 - after)
      expect(await verifyEventStore(store)).toMatchObject({
        ok: false,
        defects: [expect.objectContaining({ position: 3 })],
      })
      await store.close()
    },
  )

  test('a sound record in columns whose columns differ in length is unreadable', async () => {
    const name = `edited-${(count += 1)}-${Math.random()}`
    const store = await openEventStore({ name })
    await store.append({ stream: 'a', events: [event, event, event, event] })
    await editRecord(name, 1, (row) => ({
      ...row,
      events: row.events.replace('"version":[1,2,3,4]', '"version":[1,2,3]'),
    }))
    await expect(store.readPage({ limit: 5 })).rejects.toMatchObject({ code: 'event-unreadable', position: 1 })
    await store.close()
  })
}
