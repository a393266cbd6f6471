/** H53: what any build ever stored is read by this one. H41: what a newer build stored is refused, and left alone. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  compactEvents,
  defineEvents,
  defineProjection,
  deleteEventStore,
  deleteReadModel,
  openEventStore,
  openReadModel,
  runProjection,
  table,
  verifyEventStore,
  verifyReadModel,
  type EventStoreOptions,
  type RecordedEvent,
} from 'tidemark'
import encoded from '../fixtures/format-1/encoded.json?raw'
import everyday from '../fixtures/format-1/everyday.json?raw'
import imported from '../fixtures/format-1/imported.json?raw'
import splitCommit from '../fixtures/format-1/split-commit.json?raw'
import compacted2 from '../fixtures/format-2/compacted.json?raw'
import everyday2 from '../fixtures/format-2/everyday.json?raw'
import imported2 from '../fixtures/format-2/imported.json?raw'
import splitCommit2 from '../fixtures/format-2/split-commit.json?raw'
import model1 from '../fixtures/read-model-1/everyday.json?raw'
import rebuilding1 from '../fixtures/read-model-1/rebuilding.json?raw'
import model2 from '../fixtures/read-model-2/everyday.json?raw'
import rebuilding2 from '../fixtures/read-model-2/rebuilding.json?raw'
import {
  databaseOf,
  dumpDatabase,
  editRows,
  loadDatabase,
  settled,
  type StoredDatabase,
} from '../support/raw-database.js'

interface Fixture {
  readonly database: StoredDatabase
  readonly expected: {
    readonly head: number
    readonly versions: Readonly<Record<string, number>>
    readonly checkpoints: Readonly<Record<string, { readonly position: number; readonly letters: readonly number[] }>>
    readonly events: readonly RecordedEvent[]
  }
}

const catalogue = defineEvents({
  FlightScheduled: {},
  FlightLanded: { version: 2, upcast: { 1: (data) => ({ delay: data['minutesLate'] }) } },
  constructor: {},
})
const codec = {
  encode: (data: unknown) => ({ sealed: [...JSON.stringify(data)].reverse().join('') }),
  decode: (stored: unknown) => JSON.parse([...(stored as { sealed: string }).sealed].reverse().join('')) as unknown,
}
// As text: a `__proto__` in a JavaScript literal is no property.
const fixtures: [string, string, Partial<EventStoreOptions<any>>][] = [
  ['1, everyday', everyday, { events: catalogue }],
  ['1, split-commit', splitCommit, {}],
  ['1, imported', imported, {}],
  ['1, encoded', encoded, { codec }],
  ['2, everyday', everyday2, { events: catalogue }],
  ['2, split-commit', splitCommit2, {}],
  ['2, imported', imported2, {}],
  ['2, compacted', compacted2, {}],
]

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const item of items) list.push(item)
  return list
}

export function storedFormatContract(): void {
  let count = 0
  let name = ''
  beforeEach(() => {
    name = `stored-${(count += 1)}-${Math.random()}`
  })
  afterEach(() => deleteEventStore(name))

  describe.each(fixtures)('H53: format %s', (_title, text, options) => {
    const { database, expected } = JSON.parse(text) as Fixture

    test('is read as it was, and nothing of it changes by that', async () => {
      await loadDatabase(databaseOf(name), database)
      const store = await openEventStore({ name, ...options })
      expect(await all(store.read())).toEqual(expected.events)
      expect(await store.head()).toBe(expected.head)
      for (const [stream, version] of Object.entries(expected.versions)) {
        expect(await store.streamVersion(stream), stream).toBe(version)
        expect(await all(store.readStream(stream)), stream).toEqual(
          expected.events.filter((event) => event.stream === stream),
        )
      }
      for (const [projector, { position, letters }] of Object.entries(expected.checkpoints)) {
        expect(await store.checkpoints.load(projector)).toBe(position)
        expect((await store.checkpoints.deadLetters(projector, 0, 100)).map((letter) => letter.position)).toEqual(
          letters,
        )
      }
      expect(await verifyEventStore(store)).toEqual({
        ok: true,
        head: expected.head,
        events: expected.head,
        defects: [],
        unlisted: 0,
      })
      await store.close()
      expect(await dumpDatabase(databaseOf(name))).toEqual(database)
    })

    test('is written on: ids that are there are known, versions and positions go on', async () => {
      await loadDatabase(databaseOf(name), database)
      const store = await openEventStore({ name, ...options })
      for (const event of [expected.events[0], expected.events.at(-1)] as RecordedEvent[]) {
        expect(
          await store.append({ stream: event.stream, events: [{ type: event.type, data: event.data, id: event.id }] }),
        ).toMatchObject({ duplicate: true, position: event.position })
      }
      for (const [stream, version] of Object.entries(expected.versions)) {
        await store.append({
          stream,
          events: [{ type: expected.events[0]?.type as string, data: null }],
          expectedVersion: version,
        })
      }
      expect(await verifyEventStore(store)).toMatchObject({
        ok: true,
        head: expected.head + Object.keys(expected.versions).length,
      })
      await store.close()
      // Builds that do not know what this one may write now keep away (H41).
      const { rows } = (await dumpDatabase(databaseOf(name))).stores['meta'] ?? {}
      expect(rows).toEqual([{ ...(database.stores['meta']?.rows[0] as object), format: 2, minReader: 2, minWriter: 2 }])
    })

    test('is compacted, and read as it was', async () => {
      await loadDatabase(databaseOf(name), database)
      const store = await openEventStore({ name, ...options })
      for (const eventsPerRecord of [256, 4]) await compactEvents(store, { eventsPerRecord })
      expect(await all(store.read())).toEqual(expected.events)
      expect(await verifyEventStore(store)).toMatchObject({ ok: true, head: expected.head })
      await store.close()
      // Joined records may be in columns, which builds of format 1 would misread: they are kept away in the same transaction.
      const { commits, meta } = (await dumpDatabase(databaseOf(name))).stores
      const joined = commits?.rows.length !== database.stores['commits']?.rows.length
      expect(meta?.rows).toEqual([
        { ...(database.stores['meta']?.rows[0] as object), ...(joined && { format: 2, minReader: 2, minWriter: 2 }) },
      ])
    })

    test('has the layout that this build makes', async () => {
      await (await openEventStore({ name })).close()
      const made = await dumpDatabase(databaseOf(name))
      const layout = ({ version, stores }: StoredDatabase) => ({
        version,
        stores: Object.fromEntries(
          Object.entries(stores).map(([store, { keyPath, indexes }]) => [store, { keyPath, indexes }]),
        ),
      })
      expect(layout(made)).toEqual(layout(database))
    })
  })

  describe('H41: a newer format', () => {
    const { database } = JSON.parse(everyday) as Fixture
    const raise = (change: object) =>
      editRows(name, async ({ meta }) => void meta.put({ ...((await settled(meta.get('log'))) as object), ...change }))

    test.each([
      { format: 3, minReader: 3, minWriter: 3 },
      { format: 3, minReader: 2, minWriter: 3 },
      // One that adopts it came no further, and a newer build wrote to it since.
      { format: 3, minReader: 2, minWriter: 3, adopter: 'synced' },
    ])('is refused at opening, and nothing is touched: %j', async (formats) => {
      await loadDatabase(databaseOf(name), database)
      await raise(formats)
      const before = await dumpDatabase(databaseOf(name))
      await expect(openEventStore({ name, events: catalogue })).rejects.toMatchObject({
        code: 'unsupported-format',
        reason: 'newer',
        outcome: 'not-written',
      })
      expect(await dumpDatabase(databaseOf(name))).toEqual(before)
    })

    test('that older builds may write is opened', async () => {
      await loadDatabase(databaseOf(name), database)
      await raise({ format: 3, minReader: 1, minWriter: 1 })
      const store = await openEventStore({ name, events: catalogue })
      expect(await store.append({ stream: 'a', events: [{ type: 'constructor', data: 1 }] })).toMatchObject({
        position: 9,
      })
      await store.close()
      expect((await dumpDatabase(databaseOf(name))).stores['meta']?.rows).toEqual([
        expect.objectContaining({ format: 3, minReader: 2, minWriter: 2 }),
      ])
    })

    test('that was raised under an open store: it does not append once the newer build did, hint or no hint, and touches nothing', async () => {
      await loadDatabase(databaseOf(name), database)
      const store = await openEventStore({ name, events: catalogue })
      await store.append({ stream: 'flight-AA100', events: [{ type: 'FlightLanded', data: { delay: 1 } }] })
      await raise({ format: 3, minWriter: 3 })
      // What a newer build appends. Nobody says so.
      await editRows(name, async ({ commits }) => {
        const last = (await settled(commits.get(9))) as object
        commits.add({
          ...last,
          at: 10,
          commits: [10],
          heads: [['flight-AA100', 5]],
          ids: ['~new'],
          format: 3,
          events: 'packed otherwise',
        })
      })
      const before = await dumpDatabase(databaseOf(name))
      const append = () =>
        store.append({ stream: 'flight-AA100', events: [{ type: 'FlightLanded', data: { delay: 2 } }] })
      await expect(append()).rejects.toMatchObject({ code: 'unsupported-format', outcome: 'not-written' })
      await expect(append()).rejects.toMatchObject({ code: 'unsupported-format', outcome: 'not-written' })
      expect(await dumpDatabase(databaseOf(name))).toEqual(before)
      // It reads on up to what it does not understand, and says why it stops.
      await expect(all(store.read({ after: 8 }))).rejects.toMatchObject({
        code: 'event-unreadable',
        position: 10,
        newer: true,
        message: expect.stringContaining('newer version'),
      })
      await store.close()
    })

    test('that was raised under an open store and announced: it looks before it goes on', async () => {
      await loadDatabase(databaseOf(name), database)
      const store = await openEventStore({ name, events: catalogue })
      await store.append({ stream: 'flight-AA100', events: [{ type: 'FlightLanded', data: { delay: 1 } }] })
      await raise({ format: 3, minReader: 3, minWriter: 3 })
      const newer = new BroadcastChannel(databaseOf(name))
      newer.postMessage({ kind: 'head', head: 9, format: 3 })
      await expect
        .poll(() => store.head().catch((error: unknown) => (error as { code?: string }).code))
        .toBe('unsupported-format')
      newer.close()
      await expect(
        store.append({ stream: 'flight-AA100', events: [{ type: 'FlightLanded', data: { delay: 2 } }] }),
      ).rejects.toMatchObject({ code: 'unsupported-format' })
      await store.close()
    })
  })
}

interface ModelFixture {
  readonly log: StoredDatabase
  readonly model: StoredDatabase
  readonly expected: {
    readonly position: number
    readonly lines: readonly unknown[]
    readonly kinds: readonly unknown[]
  }
}

interface StoredState {
  readonly fingerprint: string
  readonly epoch: number
  readonly stamp?: { readonly id: string; readonly revision: number }
}

const boardEvents = defineEvents<
  { type: 'Added'; data: { to: string; amount: number } } | { type: 'Removed'; data: { to: string } }
>()
/** As the build that wrote the fixtures had it. */
const board = () =>
  defineProjection(boardEvents, {
    name: 'board',
    tables: {
      lines: table<{ name: string; total: number; at?: string }>()({
        key: 'name',
        indexes: { byTotal: 'total', byBoth: ['at', 'total'] },
      }),
      kinds: table<{ type: string; count: number }>({ key: 'type' }),
    },
    fold: { kinds: { key: ({ type }) => type, evolve: (row, { type }) => ({ type, count: (row?.count ?? 0) + 1 }) } },
    on: {
      Added: async ({ data: { to, amount }, stream }, { lines }) => {
        if (amount < 0) throw new TypeError('less than nothing')
        lines.put({ name: to, total: ((await lines.get(to))?.total ?? 0) + amount, ...(amount > 5 && { at: stream }) })
      },
      Removed: ({ data: { to } }, { lines }) => lines.delete(to),
    },
    onFailure: () => 'park',
  })
const boardTables = `[["kinds","type",[]],["lines","name",[["byBoth",["at","total"]],["byTotal","total"]]]]`

// What a build compares that knows no stamps: whatever else is stored there are other tables, and it refuses.
const knownBefore = [boardTables, `packed ${boardTables}`]

const modelFixtures: [string, string][] = [
  ['1, everyday', model1],
  ['1, rebuilding', rebuilding1],
  ['2, everyday', model2],
  ['2, rebuilding', rebuilding2],
]

export function storedModelsContract(): void {
  let name = ''
  const databaseOfModel = () => `${databaseOf(name)}:board@1`
  const stateOf = async () =>
    ((await dumpDatabase(databaseOfModel())).stores['tidemark:state']?.rows ?? [])[0] as StoredState
  const load = async (text: string) => {
    // JSON knows no -Infinity, which is the key of the first pack of a table.
    const whole = JSON.parse(text, (_key, each: unknown) => (each === '-Infinity' ? -Infinity : each)) as ModelFixture
    await loadDatabase(databaseOf(name), whole.log)
    await loadDatabase(databaseOfModel(), whole.model)
    return { ...whole, store: await openEventStore({ name, events: boardEvents }) }
  }
  const readAll = async (store: Awaited<ReturnType<typeof load>>['store']) => {
    const view = await openReadModel(store, board())
    const found = {
      position: await view.position(),
      lines: await view.lines.getAll(),
      kinds: await view.kinds.getAll(),
    }
    await view.close()
    return found
  }
  let count = 0
  beforeEach(() => {
    name = `stored-model-${(count += 1)}-${Math.random()}`
  })
  afterEach(() => deleteEventStore(name))

  describe.each(modelFixtures)('H53: read models of format %s', (title, text) => {
    const isStamped = title.startsWith('2')
    test('are read as they were, and nothing of them changes by that', async () => {
      const { store, model, expected } = await load(text)
      expect(await readAll(store)).toEqual(expected)
      expect(await verifyReadModel(store, board())).toMatchObject({ ok: true })
      expect(await dumpDatabase(databaseOfModel())).toEqual(model)
      await store.close()
    })

    test('are continued, and have a stamp from the first run on, under which no older build writes (N47)', async () => {
      const { store, expected } = await load(text)
      const before = await stateOf()
      expect(knownBefore.includes(before.fingerprint)).toBe(!isStamped)
      await runProjection(store, board())
      expect(await readAll(store)).toEqual(expected)
      const begun = await stateOf()
      expect(knownBefore).not.toContain(begun.fingerprint)
      // Whoever ran it before is refused.
      expect(begun.epoch).toBeGreaterThan(before.epoch)
      // Readers see the same rows in the same place.
      expect(begun.stamp?.id === before.stamp?.id).toBe(title === '2, everyday')
      await store.append({ stream: 'c', events: [{ type: 'Added', data: { to: 'five', amount: 5 } }] })
      await runProjection(store, board())
      expect(await readAll(store)).toEqual({
        position: expected.position + 1,
        lines: [{ name: 'five', total: 5 }, ...expected.lines],
        kinds: [
          { type: 'Added', count: 5 },
          { type: 'Removed', count: 1 },
        ],
      })
      const after = await stateOf()
      expect(begun.stamp?.id).toMatch(/^[0-9a-f-]{36}$/)
      expect(after.stamp).toMatchObject({ revision: (begun.stamp?.revision ?? 0) + 1 })
      expect(after.stamp?.id).not.toBe(begun.stamp?.id)
      expect(await verifyReadModel(store, board())).toMatchObject({ ok: true })
      await store.close()
    })

    test('are made again under a stamp that never was', async () => {
      const { store, expected } = await load(text)
      await runProjection(store, board())
      const before = await stateOf()
      await deleteReadModel(store, board())
      await runProjection(store, board())
      expect(await readAll(store)).toEqual(expected)
      expect((await stateOf()).stamp?.id).not.toBe(before.stamp?.id)
      await store.close()
    })
  })
}
