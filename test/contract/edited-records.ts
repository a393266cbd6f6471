/** H50, N37: records that were edited by hand, where no record can be. Each is an error with a name, wherever it is met, and nothing is stored on top of it. */
import { describe, expect, test } from 'vitest'
import { openEventStore, verifyEventStore, type RecordedEvent, type TidemarkStore } from 'tidemark'
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
  at, n, heads: [['z', version]], commits: [typeof at === 'number' ? at : 1e9], ids: ['~edited'],
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
  const integrity = { code: 'integrity', message: expect.stringContaining('edited or damaged') }

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
      ['at 2 ** 53 - 1', record(greatest)], ['at 2 ** 53 - 2, of two events', record(greatest - 1, 99, 2)], ['at 2 ** 53', record(2 ** 53)], ['at 1e300', record(1e300)],
      ['at Infinity', record(Infinity)], ['at 7.5', record(7.5)], ["at '7'", record('7')], ['at a date', record(new Date(0))], ['at a list', record([7])],
      ['of no events', { ...record(7), n: 0 }], ['of half an event', { ...record(7), n: 0.5 }], ['of -1 events', { ...record(7), n: -1 }], ['of 1e9 events', { ...record(7), n: 1e9 }],
      ['of NaN events', { ...record(7), n: Number.NaN }], ["of '1' event", { ...record(7), n: '1' }],
    ])('the last record %s: head, read, readEvents and appends that look say so; nothing is stored behind it', async ([, put]) => {
      await within(put, async (store) => {
        await expect(store.head()).rejects.toMatchObject(integrity)
        await expect(all(store.read())).rejects.toMatchObject(integrity)
        for (const after of [0, 3, 6]) await expect(store.readEvents({}, { after, limit: 10 })).rejects.toMatchObject(integrity)
        const condition = { failIfAny: { filter: { types: ['Never'] }, after: 0 } }
        await expect(store.append({ stream: 'a', events: [event] }, condition)).rejects.toMatchObject({ ...integrity, outcome: 'not-written' })
        await expect(store.append({ stream: 'new', events: [event], expectedVersion: 0 })).rejects.toMatchObject({ ...integrity, outcome: 'not-written' })
        expect(await verifyEventStore(store)).toMatchObject({ ok: false })
        expect(await all(store.readStream('a'))).toEqual([1, 2, 3, 4, 5, 6])
      })
    })

    test.for([0.5, 1.5, 3.5, 5.5, 0, -1, -0.5])('a record at %d, before the last: no read passes it by', async (at) => {
      await within(record(at), async (store) => {
        await expect(all(store.read())).rejects.toMatchObject(integrity)
        await expect(all(store.readStream('z'))).rejects.toMatchObject(integrity)
        const pages = async () => {
          for (let after = 0; after < 6; after = (await store.readEvents({}, { after, limit: 1 })).scannedTo);
        }
        await expect(pages()).rejects.toMatchObject(integrity)
        expect(await verifyEventStore(store)).toMatchObject({ ok: false, defects: expect.arrayContaining([expect.objectContaining({ kind: 'record' })]) })
        expect(await all(store.readStream('a'))).toEqual([1, 2, 3, 4, 5, 6])
      })
    })

    test.for<[string, unknown]>([['2 ** 53 - 1', greatest], ['1e300', 1e300], ["'2'", '2'], ['1.5', 1.5]])('a stream that is indexed at version %s takes no event more', async ([, version]) => {
      await within({ ...record(7), heads: [['z', version]] }, async (store) => {
        await expect(store.append({ stream: 'z', events: [event] })).rejects.toMatchObject({ ...integrity, outcome: 'not-written' })
        expect(await store.append({ stream: 'b', events: [event] })).toMatchObject({ position: 8, versions: { b: 1 } })
      })
    })

    test('positions end before 2 ** 53 - 1', async () => {
      await within(record(greatest - 3), async (store) => {
        expect(await store.append({ stream: 'new', events: [event] })).toMatchObject({ position: greatest - 2 })
        await expect(store.append({ stream: 'new', events: [event, event] })).rejects.toMatchObject({ ...integrity, outcome: 'not-written' })
        expect(await store.append({ stream: 'new', events: [event] })).toMatchObject({ position: greatest - 1 })
        for (const stream of ['new', 'newer']) await expect(store.append({ stream, events: [event] })).rejects.toMatchObject({ ...integrity, outcome: 'not-written' })
        expect(await store.head()).toBe(greatest - 1)
      })
    })

    test.for([[3, 2], [1, 2], [2, 1], [2, 3]])('a record that says %d events and holds %d is unreadable, and not taken for sound', async ([says, holds]) => {
      const events = Array.from({ length: holds as number }, (_, at) => ({ ...event, stream: 'z', id: `edited-${at}`, time: 0, version: at + 1 }))
      await within({ ...record(7), n: says, events: JSON.stringify(events) }, async (store) => {
        expect((await store.readEvents({}, { limit: 20 })).events.map(({ position }) => position)).toEqual([1, 2, 3, 4, 5, 6])
        await expect(store.readEvents({}, { after: 6, limit: 20 })).rejects.toMatchObject({ code: 'event-unreadable', position: 7 })
        await expect(all(store.readStream('z'))).rejects.toMatchObject({ code: 'event-unreadable', position: 7 })
      })
    })
  })

  test('a sound record in columns whose columns differ in length is unreadable', async () => {
    const name = `edited-${(count += 1)}-${Math.random()}`
    const store = await openEventStore({ name })
    await store.append({ stream: 'a', events: [event, event, event, event] })
    await editRecord(name, 1, (row) => ({ ...row, events: row.events.replace('"version":[1,2,3,4]', '"version":[1,2,3]') }))
    await expect(store.readEvents({}, { limit: 5 })).rejects.toMatchObject({ code: 'event-unreadable', position: 1 })
    await store.close()
  })
}
