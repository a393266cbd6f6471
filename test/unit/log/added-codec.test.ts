// An app gets a codec when its store has data already, while tabs of the build before are open.
import fc from 'fast-check'
import {
  defineCommand,
  defineEvents,
  defineProjection,
  execute,
  exportEvents,
  importEvents,
  openEventStore,
  openReadModel,
  runProjection,
  table,
  verifyEventStore,
  type Codec,
} from 'tidemark'
import { openEventStore as openInMemory, openSyncedStore } from 'tidemark/memory'
import { defineCommands, syncOnce } from 'tidemark/sync'
import { testSyncServer } from 'tidemark/testing'
import { expect, onTestFinished, test } from 'vitest'
import { newName } from '../read-model/support.js'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'

fakeIndexedDB()

const events = defineEvents<{ type: 'Noted'; data: { text: string } }>()
/** What is stored is the text backwards, so that an app that takes it for data would not notice. */
const backwards: Codec = {
  encode: (data) => ({ text: [...(data as { text: string }).text].toReversed().join('') }),
  decode: (stored, { encoded }) => (encoded ? backwards.encode(stored, { type: '', stream: '', id: '' }) : stored),
}
const later: Codec = {
  encode: async (data, event) => backwards.encode(data, event),
  decode: async (stored, event) => backwards.decode(stored, event),
}
const notes = () =>
  defineProjection(events, {
    name: 'notes',
    tables: { rows: table<{ at: number; text: string }>()({ key: 'at' }) },
    on: { Noted: ({ position, data }, { rows }) => rows.put({ at: position, text: data.text }) },
  })

async function builds(codec: Codec) {
  const name = newName()
  const old = await openEventStore({ name, events })
  await old.append('n', events.Noted({ text: 'before' }))
  const next = await openEventStore({ name, events, codec })
  onTestFinished(async () => {
    await old.close()
    await next.close()
  })
  return { old, next }
}

test.for([
  ['synchronous', backwards],
  ['asynchronous', later],
] as const)(
  'N112: a build without the codec stops before what was encoded, and one with it reads both: %s',
  async ([, codec]) => {
    const { old, next } = await builds(codec)
    await runProjection(old, notes())
    await next.append('n', events.Noted({ text: 'after' }))
    await expect(runProjection(old, notes())).rejects.toMatchObject({
      position: 2,
      cause: { code: 'event-unreadable', newer: true, message: expect.stringContaining('reload the page') },
    })
    expect(await runProjection(next, notes())).toMatchObject({ position: 2, applied: 1 })
    const view = await openReadModel(next, notes())
    expect((await view.rows.getAll()).map(({ text }) => text)).toEqual(['before', 'after'])
    await view.close()
    // What the old tab appends meanwhile is plain, and said to be.
    await old.append('n', events.Noted({ text: 'old' }))
    const texts: string[] = []
    for await (const { data } of next.readStream('n')) texts.push(data.text)
    expect(texts).toEqual(['before', 'after', 'old'])
    const read = (async () => {
      for await (const _ of old.readStream('n'));
    })()
    await expect(read).rejects.toMatchObject({ code: 'event-unreadable', newer: true, position: 2 })
    expect(await verifyEventStore(old)).toMatchObject({ ok: true })
    const command = defineCommand(events, () => ({
      streams: ['n'],
      initial: 0,
      evolve: (n) => n + 1,
      decide: () => [{ stream: 'n', type: 'Noted', data: { text: 'decided' } }],
    }))
    await expect(execute(old, command())).rejects.toMatchObject({ newer: true })
    expect(await execute(next, command())).toMatchObject({ type: 'accepted' })
  },
)

test('N112: an export and its import keep what was encoded, with or without a codec', async () => {
  const { next } = await builds(backwards)
  await next.append('n', events.Noted({ text: 'after' }))
  const lines: string[] = []
  for await (const line of exportEvents(next)) lines.push(line)
  expect(JSON.parse(lines[2] as string)).toMatchObject({ data: { '~': { text: 'retfa' } } })
  const copies = await Promise.all([
    openInMemory({ name: 'plain', events }),
    openInMemory({ name: 'coded', events, codec: backwards }),
  ])
  for (const copy of copies) await importEvents(copy, lines)
  const [plain, coded] = copies
  await expect(plain.readPage({ after: 1, limit: 9 })).rejects.toMatchObject({ newer: true })
  expect((await coded.readPage({ limit: 9 })).events.map(({ data }) => data.text)).toEqual(['before', 'after'])
})

test('N112: a codec that refuses what was not encoded is asked about it', async () => {
  const strict: Codec = {
    encode: (data) => data,
    decode(stored, { encoded }) {
      if (!encoded) throw new Error('made up')
      return stored
    },
  }
  const { next } = await builds(strict)
  await next.append('n', events.Noted({ text: 'after' }))
  await expect(next.readPage({ limit: 9 })).rejects.toMatchObject({ code: 'event-unreadable', position: 1 })
  expect((await next.readPage({ after: 1, limit: 9 })).events).toHaveLength(1)
})

test('N112: any data comes back through a codec, and without one all but that of the reserved shape', async () => {
  const codec: Codec = { encode: (data) => data, decode: (stored, { encoded }) => (encoded ? stored : 'not encoded') }
  const coded = await openInMemory({ name: 'coded', codec })
  const plain = await openInMemory({ name: 'plain' })
  const inner = fc.jsonValue({ maxDepth: 2 })
  const data = fc.oneof(
    inner,
    fc.record({ '~': inner }),
    fc.record({ '~': inner, b: inner }),
    fc.record({ '~': fc.record({ '~': inner }) }),
  )
  await fc.assert(
    fc.asyncProperty(data, async (given) => {
      const isReserved =
        typeof given === 'object' && given !== null && Object.keys(given).length === 1 && Object.hasOwn(given, '~')
      const event = { type: 'Any', data: given }
      const { position } = await coded.append('s', event)
      const { events: found } = await coded.readPage({ after: position - 1, limit: 9 })
      expect(found[0]?.data).toEqual(JSON.parse(JSON.stringify(given)))
      const head = await plain.head()
      const result = plain.append('s', event)
      if (isReserved) await expect(result).rejects.toMatchObject({ code: 'invalid-event', path: 'event.data' })
      else
        expect((await plain.readPage({ after: (await result).position - 1, limit: 9 })).events[0]?.data).toEqual(
          found[0]?.data,
        )
      expect(await plain.head()).toBe(isReserved ? head : head + 1)
    }),
    { numRuns: 150 },
  )
})

test.for([
  [
    'at once',
    () => {
      throw new Error('no key')
    },
  ],
  ['later', async () => Promise.reject(new Error('no key'))],
] as [string, () => never][])(
  'N113: what the codec throws when it encodes is the cause of an error of this package: %s',
  async ([, encode]) => {
    const store = await openInMemory({ name: 'coded', events, codec: { encode, decode: (stored) => stored } })
    await expect(store.append('n', events.Noted({ text: 'a' }))).rejects.toMatchObject({
      code: 'invalid-event',
      outcome: 'not-written',
      message: expect.stringContaining('no key'),
      cause: { message: 'no key' },
    })
    const nothing = await openInMemory({
      name: 'none',
      events,
      codec: { encode: () => undefined, decode: (stored) => stored },
    })
    await expect(nothing.append('n', events.Noted({ text: 'a' }))).rejects.toMatchObject({ code: 'invalid-event' })
  },
)

test('N113: what an upcaster throws is in the message', async () => {
  const name = newName()
  const first = await openEventStore({ name, events: defineEvents({ Noted: {} }) })
  await first.append('n', { type: 'Noted', data: null })
  await first.close()
  const upcast = {
    1: () => {
      throw new Error('no such text')
    },
  }
  const store = await openEventStore({ name, events: defineEvents({ Noted: { version: 2, upcast } }) })
  await expect(store.readPage({ limit: 9 })).rejects.toThrow(/from version 1 threw an error \(no such text\)/)
  await store.close()
})

test('N112: arguments of a command in the outbox are encoded and said to be: a build without the codec waits', async () => {
  const server = testSyncServer()
  const commands = defineCommands({
    note: defineCommand(events, (text: string) => ({
      streams: ['n'],
      initial: 0,
      evolve: (n) => n + 1,
      decide: (n) => [{ stream: 'n', type: 'Noted', data: { text: `${text} ${n}` } }],
    })),
  })
  const seen: unknown[] = []
  const codec: Codec = {
    encode: async (data, { type }) => ({ type, data }),
    async decode(stored, { type, encoded }) {
      seen.push([type, encoded])
      return encoded ? (stored as { data: unknown }).data : stored
    },
  }
  const device = async (user: string) => {
    const way = server.connection()
    const store = await openSyncedStore({
      name: user,
      events,
      commands,
      codec,
      url: server.url,
      fetch: way.fetch,
      headers: () => ({ authorization: `Bearer ${user}` }),
    })
    onTestFinished(() => store.close())
    await syncOnce(store)
    return { store, way }
  }
  const [anna, bert] = [await device('anna'), await device('bert')]
  for (const { way } of [anna, bert]) way.partition('both')
  for (const { store } of [anna, bert]) await execute(store, commands.note('x'))
  for (const { store, way } of [anna, bert]) {
    way.partition()
    await syncOnce(store)
  }
  expect(seen).toContainEqual(['note', true])
  expect((await server.log()).map(({ data }) => data)).toEqual([
    { '~': { type: 'Noted', data: { text: 'x 0' } } },
    { '~': { type: 'Noted', data: { text: 'x 1' } } },
  ])
})
