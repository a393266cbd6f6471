/** H76: any script of the origin can edit the rows. Whatever it does clumsily has a name. Run on fake-indexeddb and in real browsers. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { deleteEventStore, openEventStore, verifyEventStore, type LogDefect, type TidemarkStore } from 'tidemark'
import { editRecord, editRows, settled } from '../support/raw-database.js'

const added = (value: number) => ({ type: 'Added', data: { value } })

/** What a test says of a defect; messages are for people. */
const brief = (defects: readonly LogDefect[]) =>
  defects.map(({ kind, position, stream }) => [kind, position, stream].filter((part) => part !== undefined))

/** The events of a record, edited. */
const events = (change: (list: any[]) => unknown[]) => (record: any) => ({
  ...record,
  events: JSON.stringify(change(JSON.parse(record.events))),
})
const event = (index: number, change: (event: any) => unknown) =>
  events((list) => list.map((each, at) => (at === index ? change(each) : each)))

export function verifyContract(): void {
  let count = 0
  let name = ''
  let store: TidemarkStore

  /** Positions: 1–2 to `a`, 3 to `b`, 4–6 to `a` and `b`, 7 to `a`. */
  beforeEach(async () => {
    name = `verify-${(count += 1)}-${Math.random()}`
    store = await openEventStore({ name })
    await store.append({ stream: 'a', events: [added(1), added(2)] })
    await store.append({ stream: 'b', events: [{ ...added(3), id: 'by-hand' }] })
    await store.append([
      { stream: 'a', events: [added(4)] },
      { stream: 'b', events: [added(5), added(6)] },
    ])
    await store.append({ stream: 'a', events: [added(7)] })
    await store.checkpoints.save('p', 7)
  })
  afterEach(async () => {
    await store.close()
    await deleteEventStore(name)
  })

  const found = async () => brief((await verifyEventStore(store)).defects)
  const edited = (at: number, change: (record: any) => unknown) => editRecord(name, at, change)

  describe('H76: verify', () => {
    test('finds nothing in a log that nobody touched, also an empty one', async () => {
      expect(await verifyEventStore(store)).toEqual({ ok: true, head: 7, events: 7, defects: [], unlisted: 0 })
      const other = `${name}-empty`
      const empty = await openEventStore({ name: other })
      expect(await verifyEventStore(empty)).toEqual({ ok: true, head: 0, events: 0, defects: [], unlisted: 0 })
      await empty.close()
    })

    test('finds nothing in a large log, over many pages and split commits, with appends in between', async () => {
      for (let round = 0; round < 3; round += 1) {
        await store.append({ stream: 'large', events: Array.from({ length: 700 }, (_, value) => added(value)) })
        await Promise.all(
          Array.from({ length: 150 }, (_, value) => store.append({ stream: `s-${value % 7}`, events: [added(value)] })),
        )
      }
      const verifying = verifyEventStore(store)
      await store.append({ stream: 'a', events: [added(8)] })
      const { head, events, ...rest } = await verifying
      expect(rest).toEqual({ ok: true, defects: [], unlisted: 0 })
      expect([head, events]).toSatisfy(([head, events]) => head === events && head >= 2557)
    })

    test('names a deleted record as a hole, and the versions that went with it', async () => {
      await editRows(name, ({ commits }) => void commits.delete(3))
      const answer = await verifyEventStore(store)
      expect(brief(answer.defects)).toEqual([
        ['hole', 3],
        ['version', 5, 'b'],
      ])
      expect(answer).toMatchObject({ ok: false, head: 7, events: 6 })
      expect(answer.defects[0]?.message).toContain('3 to 3')
    })

    test('names records that overlap', async () => {
      await editRows(name, async ({ commits }) => {
        const last = await settled(commits.get(7))
        commits.delete(7)
        commits.put({ ...last, at: 6, commits: [6] })
      })
      expect(await found()).toEqual([
        ['overlap', 6],
        ['checkpoint', 7],
      ])
    })

    test.for([3, 1, 0, -1, 2.5, 'two', null])('names a count that is not that of the events: n = %s', async (n) => {
      await edited(1, (record) => ({ ...record, n }))
      const isCount = Number.isSafeInteger(n) && (n as number) > 0
      expect(await found()).toEqual([[isCount ? 'count' : 'record', 1]])
    })

    test('names an event that was taken out, by its count and by the version that follows', async () => {
      await edited(
        1,
        events((list) => list.slice(0, 1)),
      )
      expect(await found()).toEqual([
        ['count', 1],
        ['heads', 1, 'a'],
        ['hole', 2],
        ['version', 4, 'a'],
      ])
    })

    test.for(['', '{"type":', 'null', '{}', '"[]"'])(
      'names a record whose events are no JSON array: %s',
      async (text) => {
        await edited(4, (record) => ({ ...record, events: text }))
        expect(await found()).toEqual([['json', 4]])
      },
    )

    test.for<[string, (columns: any) => unknown]>([
      ['no columns', () => ({})],
      ['a column that is short', (columns) => ({ ...columns, version: columns.version.slice(1) })],
      ['a column that is none', (columns) => ({ ...columns, id: 'x' })],
      ['times of some events only', (columns) => ({ ...columns, time: [1, 2] })],
      ['a type that it does not name', (columns) => ({ ...columns, type: columns.type.map(() => 1) })],
      ['a stream that it does not name', (columns) => ({ ...columns, streams: [] })],
      ['rows', (columns) => columns.data],
    ])('names a record in columns that has %s', async ([, change]) => {
      await store.append({ stream: 'c', events: [1, 2, 3, 4].map((data) => ({ type: 'A', data })) })
      await edited(8, (record) => ({ ...record, events: JSON.stringify(change(JSON.parse(record.events))) }))
      expect(await found()).toEqual([['json', 8]])
      await expect(async () => {
        for await (const event of store.read({ after: 7 })) expect.fail(`read ${event.position}`)
      }).rejects.toMatchObject({
        code: 'event-unreadable',
        position: 8,
        message: expect.stringContaining('does not hold what it should'),
      })
    })

    test.for<[string, unknown]>([
      ['type', [7]],
      ['stream', ['with*']],
      ['version', [0, 0, 0, 0]],
      ['id', ['', '', '', '']],
      ['time', [null, null, null, null]],
      ['schema', [0, 0, 0, 0]],
    ])('names an event in columns without a proper %s', async ([property, value]) => {
      await store.append({ stream: 'c', events: [1, 2, 3, 4].map((data) => ({ type: 'A', data })) })
      const column = property === 'type' || property === 'stream' ? `${property}s` : property
      await edited(8, (record) => ({
        ...record,
        events: JSON.stringify({ ...JSON.parse(record.events), [column]: value }),
      }))
      expect(new Set((await found()).map(([kind]) => kind))).toEqual(new Set(['event']))
    })

    test.for<[string, unknown]>([
      ['type', ''],
      ['type', 7],
      ['stream', 'with*'],
      ['version', 0],
      ['version', '3'],
      ['id', ''],
      ['time', null],
      ['data', undefined],
      ['schema', 0],
    ])('names an event without a proper %s: %j', async ([property, value]) => {
      await edited(
        3,
        event(0, (each) => ({ ...each, [property]: value })),
      )
      expect(await found()).toEqual([['event', 3]])
    })

    test('names heads that are not those of the events', async () => {
      await edited(4, (record) => ({
        ...record,
        heads: [
          ['a', 3],
          ['b', 9],
        ],
      }))
      expect(await found()).toEqual([['heads', 4, 'b']])
      await edited(4, (record) => ({ ...record, heads: [['a', 3]] }))
      expect(await found()).toEqual([['heads', 4, 'b']])
      await edited(4, (record) => ({
        ...record,
        heads: [
          ['a', 3],
          ['b', 3],
          ['b', 3],
        ],
      }))
      expect(await found()).toEqual([['heads', 4]])
    })

    test('names a stream whose versions jump or stand still', async () => {
      await edited(7, (record) => event(0, (each) => ({ ...each, version: 6 }))({ ...record, heads: [['a', 6]] }))
      expect(await found()).toEqual([['version', 7, 'a']])
      await edited(7, (record) => event(0, (each) => ({ ...each, version: 3 }))({ ...record, heads: [['a', 3]] }))
      expect(await found()).toEqual([['version', 7, 'a']])
    })

    test.for<[string, unknown[]]>([
      ['ids', []],
      ['ids', ['other']],
      ['commits', []],
      ['commits', [5]],
      ['commits', [4, 4]],
      ['commits', [4, 9]],
      ['commits', ['4']],
    ])('names a record that is indexed by wrong %s: %j', async ([property, value]) => {
      await edited(4, (record) => ({ ...record, [property]: value }))
      expect(await found()).toEqual([['index', 4]])
    })

    test('names an id that stands twice, in one record and in two', async () => {
      const ids: string[] = []
      for await (const each of store.read()) ids.push(each.id)
      await edited(4, (record) => event(2, (each) => ({ ...each, id: JSON.parse(record.events)[1].id }))(record))
      await edited(
        7,
        event(0, (each) => ({ ...each, id: ids[0] })),
      )
      await edited(7, (record) => ({ ...record, ids: [ids[0]?.slice(0, 13)] }))
      expect((await found()).filter(([kind]) => kind === 'duplicate-id')).toEqual([
        ['duplicate-id', 6],
        ['duplicate-id', 7],
      ])
    })

    test('names an id of no UUID that stands twice', async () => {
      await edited(7, (record) => event(0, (each) => ({ ...each, id: 'by-hand' }))({ ...record, ids: ['~by-hand'] }))
      expect(await found()).toEqual([['duplicate-id', 7]])
    })

    test.for<[string, (meta: any) => unknown]>([
      ['another log', (meta) => ({ ...meta, incarnation: 'somebody else' })],
      ['no format', ({ key, incarnation }) => ({ key, incarnation })],
      ['formats that contradict each other', (meta) => ({ ...meta, minReader: 3 })],
      ['a newer format', (meta) => ({ ...meta, format: 3, minWriter: 3 })],
    ])('names a meta row that says %s', async ([, change]) => {
      await editRows(name, async ({ meta }) => void meta.put(change(await settled(meta.get('log')))))
      expect(await found()).toEqual([['meta']])
    })

    test('names a meta row that is gone', async () => {
      await editRows(name, ({ meta }) => void meta.clear())
      expect(await found()).toEqual([['meta']])
    })

    test('names checkpoints beyond the head, and those that are no position (N36)', async () => {
      await editRows(name, ({ checkpoints }) => {
        checkpoints.put({ name: 'ahead', position: 8 })
        checkpoints.put({ name: 'fresh', position: 0 })
        checkpoints.put({ name: 'half', position: 1.5 })
        checkpoints.put({ name: 'none' })
      })
      const { defects } = await verifyEventStore(store)
      expect(brief(defects)).toEqual([['checkpoint', 8], ['checkpoint'], ['checkpoint']])
      expect(defects.map(({ message }) => message)).toEqual([
        expect.stringContaining("'ahead'"),
        expect.stringContaining("'half'"),
        expect.stringContaining("'none'"),
      ])
    })

    test.for<[unknown, string]>([
      [0, '0'],
      [-1, '-1'],
      [1.5, '1.5'],
      [new Date(0), 'an object'],
      ['x', "'x'"],
    ])('names a record at %s, which is no position', async ([at, shown]) => {
      await editRows(
        name,
        ({ commits }) => void commits.put({ at, n: 1, heads: [], commits: [], ids: [], events: '[]' }),
      )
      const { defects } = await verifyEventStore(store)
      expect(brief(defects)).toEqual([['record']])
      expect(defects[0]?.message).toContain(shown)
    })

    test('names a foreign row, and goes on after it', async () => {
      await editRows(name, ({ commits }) => void commits.put({ at: 8, hello: 'world' }))
      expect(await found()).toEqual([['record', 8]])
    })

    test('names a record of a newer format, and does not judge it (H53)', async () => {
      await edited(4, (record) => ({ ...record, format: 3, events: 'whatever it may be' }))
      expect(await found()).toEqual([['record', 4]])
    })

    test('lists a thousand defects and counts the others', async () => {
      await editRows(name, ({ checkpoints }) => {
        for (let at = 0; at < 1005; at += 1) checkpoints.put({ name: `p-${at}`, position: 100 })
      })
      const { defects, unlisted } = await verifyEventStore(store)
      expect([defects.length, unlisted]).toEqual([1000, 5])
    })

    test('stops with the reason of its signal', async () => {
      const reason = new Error('enough')
      await expect(verifyEventStore(store, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    })

    test('is refused by a closed store', async () => {
      await store.close()
      await expect(verifyEventStore(store)).rejects.toMatchObject({ code: 'closed' })
    })
  })
}
