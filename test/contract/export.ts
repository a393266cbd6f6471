/** Export and import: what goes out comes back as it was, once, whatever happens in between. */
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import {
  defineEvents,
  exportEvents,
  importEvents,
  openEventStore,
  verifyEventStore,
  type RecordedEvent,
  type TidemarkStore,
} from 'tidemark'
import { openEventStore as openMemory } from 'tidemark/memory'
import { editRecord, editRows } from '../support/raw-database.js'

interface Line {
  position: number
  commit: number
  type: string
  data: unknown
  meta?: unknown
  stream: string
  version: number
  id: string
  time: number
  schema?: number
}

const media = { indexeddb: openEventStore, memory: openMemory } as const
type Medium = keyof typeof media

let count = 0
const opened: TidemarkStore[] = []
const open = async (medium: Medium = 'indexeddb', options: object = {}) => {
  const store = await media[medium]({
    name: `export-${(count += 1)}-${Math.random()}`,
    durability: 'relaxed',
    ...options,
  })
  opened.push(store)
  return store
}
const added = (value: unknown) => ({ type: 'Added', data: { value } })
const many = (from: number, length: number) => Array.from({ length }, (_, index) => added(from + index))

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const item of items) list.push(item)
  return list
}
const lines = (store: TidemarkStore, options?: { after?: number; upTo?: number }) => all(exportEvents(store, options))
const eventLines = async (store: TidemarkStore) => (await lines(store)).slice(1)
const parsed = (line: string | undefined) => JSON.parse(line ?? '') as Line

export function exportContract(): void {
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((store) => store.close()))
  })

  describe('export', () => {
    test('begins with a header, and has one line for each event as it is stored, with its commit', async () => {
      const store = await open()
      await store.append([
        { stream: 'a', events: [added(1), { ...added(2), meta: { by: 'me' } }] },
        { stream: 'b', events: [{ ...added(3), id: 'mine' }] },
      ])
      await store.append({ stream: 'a', events: [added(4)] })
      const text = await lines(store)
      expect(text.every((line) => line.endsWith('\n') && line.indexOf('\n') === line.length - 1)).toBe(true)
      const [header, ...rest] = text.map((line) => JSON.parse(line))
      expect(header).toEqual({
        tidemark: 'export',
        format: 1,
        log: expect.stringMatching(/^[0-9a-f-]{36}$/),
        after: 0,
        head: 4,
      })
      expect(
        rest.map(({ position, commit, stream, version, data, meta, id }: Line) => ({
          position,
          commit,
          stream,
          version,
          data,
          meta,
          mine: id === 'mine',
        })),
      ).toEqual([
        { position: 1, commit: 1, stream: 'a', version: 1, data: { value: 1 }, meta: undefined, mine: false },
        { position: 2, commit: 1, stream: 'a', version: 2, data: { value: 2 }, meta: { by: 'me' }, mine: false },
        { position: 3, commit: 1, stream: 'b', version: 1, data: { value: 3 }, meta: undefined, mine: true },
        { position: 4, commit: 4, stream: 'a', version: 3, data: { value: 4 }, meta: undefined, mine: false },
      ])
    })

    test('of an empty log is a header', async () => {
      for (const medium of ['indexeddb', 'memory'] as const) expect(await lines(await open(medium))).toHaveLength(1)
    })

    test('ends at the head as it was at the start', async () => {
      const store = await open()
      await store.append({ stream: 'a', events: many(0, 3) })
      const text: string[] = []
      for await (const line of exportEvents(store)) {
        text.push(line)
        await store.append({ stream: 'a', events: [added('later')] })
      }
      expect([text.length, JSON.parse(text[0] as string).head]).toEqual([4, 3])
    })

    test('gives a part: after a position, up to a position', async () => {
      const store = await open()
      await store.append({ stream: 'a', events: many(1, 600) })
      await store.append({ stream: 'a', events: many(601, 10) })
      const [header, ...rest] = await lines(store, { after: 598, upTo: 603 })
      expect(JSON.parse(header as string)).toMatchObject({ after: 598, head: 603 })
      expect(rest.map((line) => parsed(line).position)).toEqual([599, 600, 601, 602, 603])
      await expect(lines(store, { upTo: 611 })).rejects.toMatchObject({ code: 'log-inconsistent', position: 611 })
      expect(() => exportEvents(store, { after: -1 })).toThrow(expect.objectContaining({ code: 'invalid-argument' }))
    })

    test('stops before an event that cannot be read, and can be had up to there', async () => {
      const store = await open()
      for (let n = 1; n <= 3; n += 1) await store.append({ stream: 'a', events: [added(n)] })
      await editRecord(store.name, 2, (record) => ({ ...record, events: '[{' }))
      const text: string[] = []
      const reading = (async () => {
        for await (const line of exportEvents(store)) text.push(line)
      })()
      await expect(reading).rejects.toMatchObject({ code: 'event-unreadable', position: 2 })
      expect(text).toHaveLength(2)
      const copy = await open()
      expect(await importEvents(copy, await lines(store, { upTo: 1 }))).toMatchObject({ imported: 1, position: 1 })
    })

    test('stops at a hole', async () => {
      const store = await open()
      for (let n = 1; n <= 3; n += 1) await store.append({ stream: 'a', events: [added(n)] })
      await editRows(store.name, ({ commits }) => void commits.delete(2))
      await expect(lines(store)).rejects.toMatchObject({ code: 'log-inconsistent', position: 2 })
    })

    test('stops with the reason of its signal, and is refused by a closed store', async () => {
      const store = await open()
      await store.append({ stream: 'a', events: many(1, 3) })
      const controller = new AbortController()
      const reading = (async () => {
        for await (const line of exportEvents(store, { signal: controller.signal }))
          if (parsed(line).position === 2) controller.abort('enough')
      })()
      await expect(reading).rejects.toBe('enough')
      await store.close()
      expect(() => exportEvents(store)).toThrow(expect.objectContaining({ code: 'closed' }))
    })
  })

  describe('import', () => {
    test('into an empty log gives the same log, whatever its events, commits and media', async () => {
      const name = fc.constantFrom('a', 'b', 'account-1', '__proto__', 'größe/ß')
      const event = fc.record({
        type: fc.constantFrom('Added', 'Removed', 'constructor'),
        data: fc.jsonValue(),
        meta: fc.option(fc.jsonValue(), { nil: undefined }),
        ownId: fc.boolean(),
      })
      const commit = fc.array(fc.tuple(name, fc.array(event, { minLength: 1, maxLength: 4 })), {
        minLength: 1,
        maxLength: 3,
      })
      const medium = fc.constantFrom<Medium>('indexeddb', 'memory')
      let ids = 0
      await fc.assert(
        fc.asyncProperty(
          fc.array(commit, { maxLength: 12 }),
          medium,
          medium,
          fc.boolean(),
          async (commits, from, to, large) => {
            const store = await open(from)
            if (large) await store.append({ stream: 'large', events: many(0, 600) })
            for (const streams of commits) {
              await store.append(
                streams.map(([stream, events]) => ({
                  stream,
                  events: events.map(({ meta, ownId, ...rest }) => ({
                    ...rest,
                    ...(meta === undefined ? {} : { meta }),
                    ...(ownId ? { id: `own-${(ids += 1)}` } : {}),
                  })),
                })),
              )
            }
            const copy = await open(to)
            const source = await lines(store)
            const total = source.length - 1
            expect(await importEvents(copy, source)).toEqual({ imported: total, skipped: 0, total, position: total })
            expect(await all(copy.read())).toEqual(await all(store.read()))
            // With their commits, so that a copy of the copy is the same again.
            expect(await eventLines(copy)).toEqual(source.slice(1))
            expect(await verifyEventStore(copy)).toMatchObject({ ok: true, events: total })
            expect(await importEvents(copy, source)).toEqual({ imported: 0, skipped: total, total, position: total })
          },
        ),
        { numRuns: 40 },
      )
    })

    test('keeps what today would be refused or changed: times, schema versions, encoded data', async () => {
      const codec = {
        encode: (data: unknown) => ({ secret: JSON.stringify(data) }),
        decode: (stored: unknown) => JSON.parse((stored as { secret: string }).secret) as unknown,
      }
      const old = defineEvents({ Added: {} })
      const today = defineEvents({
        Added: {
          version: 2,
          schema: { '~standard': { version: 1, vendor: 'test', validate: () => ({ issues: [{ message: 'never' }] }) } },
          upcast: { 1: (data) => ({ ...data, new: true }) },
        },
      })
      const store = await open('indexeddb', { codec, events: old })
      await store.append({ stream: 'a', events: [added(1)] })
      const copy = await open('indexeddb', { codec, events: today })
      const source = await lines(store)
      expect(source[1]).toContain('"data":{"~":{"secret":')
      await importEvents(copy, source)
      const [before] = await all(store.read())
      expect(await all(copy.read())).toEqual([{ ...before, data: { value: 1, new: true } }])
      // Every millisecond would differ by now.
      expect(parsed((await eventLines(copy))[0])).toEqual(parsed(source[1]))
    })

    test.for<[string, (text: string) => Parameters<typeof importEvents>[1]]>([
      ['a string', (text) => text],
      ['a string without a last line feed', (text) => text.trimEnd()],
      ['lines without line feeds, an empty one too', (text) => ['', ...text.split('\n')]],
      [
        'an async iterable',
        async function* (text) {
          yield* text.split('\n')
        },
      ],
      [
        'a stream of text in pieces',
        (text) => streamOf([...text].map((_, index) => (index % 7 === 0 ? text.slice(index, index + 7) : ''))),
      ],
      [
        'a stream of bytes in pieces',
        (text) => {
          const bytes = new TextEncoder().encode(text)
          return streamOf(Array.from(bytes, (_, index) => bytes.slice(index, index + 1)))
        },
      ],
    ])('reads %s', async ([, source]) => {
      const store = await open()
      await store.append({ stream: 'größe', events: [added('ein\nzwei'), added('😀')] })
      const copy = await open()
      expect(await importEvents(copy, source((await lines(store)).join('')))).toMatchObject({ imported: 2 })
      expect(await all(copy.read())).toEqual(await all(store.read()))
    })

    test('goes on where it was broken off, by ids', async () => {
      const store = await open()
      for (let n = 0; n < 30; n += 1) await store.append({ stream: `s-${n % 3}`, events: many(n * 100, 100) })
      const source = await lines(store)
      const copy = await open()
      const controller = new AbortController()
      const progress: number[] = []
      const first = importEvents(copy, source, {
        signal: controller.signal,
        onProgress: ({ imported }) => {
          progress.push(imported)
          controller.abort('closed the tab')
        },
      })
      await expect(first).rejects.toBe('closed the tab')
      expect([progress, await copy.head()]).toEqual([[1000], 1000])
      expect(await importEvents(copy, source)).toEqual({ imported: 2000, skipped: 1000, total: 3000, position: 3000 })
      expect(await all(copy.read())).toEqual(await all(store.read()))
    })

    test('completes a commit of which some events are there, and appends after what is there', async () => {
      const store = await open()
      const events = ['one', 'two', 'three'].map((id) => ({ ...added(id), id }))
      await store.append({ stream: 'a', events })
      for (const medium of ['indexeddb', 'memory'] as const) {
        const other = await open(medium)
        await other.append({ stream: 'a', events: [added('own'), { ...added('one'), id: 'one' }] })
        expect(await importEvents(other, await lines(store))).toEqual({
          imported: 2,
          skipped: 1,
          total: 3,
          position: 4,
        })
        expect(
          (await all(other.readStream('a'))).map(({ id, version }) => [id.length > 5 ? 'own' : id, version]),
        ).toEqual([
          ['own', 1],
          ['one', 2],
          ['two', 3],
          ['three', 4],
        ])
        expect((await eventLines(other)).map((line) => parsed(line).commit)).toEqual([1, 1, 3, 3])
      }
    })

    test('an export after a position continues a copy', async () => {
      const store = await open()
      await store.append({ stream: 'a', events: many(1, 5) })
      const copy = await open()
      await importEvents(copy, await lines(store))
      await store.append({ stream: 'a', events: many(6, 5) })
      expect(await importEvents(copy, exportEvents(store, { after: 5 }))).toMatchObject({ imported: 5, position: 10 })
      expect(await all(copy.read())).toEqual(await all(store.read()))
    })

    test('tells subscribers', async () => {
      const store = await open()
      await store.append({ stream: 'a', events: many(1, 5) })
      const copy = await open()
      const heard = new Promise<number>((resolve) => copy.subscribe(resolve))
      await importEvents(copy, await lines(store))
      expect(await heard).toBe(5)
    })

    const spoilt: [string, number, (text: string[]) => string[]][] = [
      ['nothing', 1, () => []],
      ['no header', 1, (text) => text.slice(1)],
      ['a header of something else', 1, (text) => ['{"hello":1}', ...text.slice(1)]],
      ['a header with a bad head', 1, (text) => [text[0]?.replace('"head":4', '"head":"4"') ?? '', ...text.slice(1)]],
      ['a line that is cut', 3, (text) => text.with(2, text[2]?.slice(0, 40) ?? '')],
      ['a line that is no object', 3, (text) => text.with(2, '[]')],
      ['a line without data', 3, (text) => change(text, 2, { data: undefined })],
      ['a stream with a bad name', 3, (text) => change(text, 2, { stream: 'a*' })],
      ['an empty type', 3, (text) => change(text, 2, { type: '' })],
      ['a position that is none', 3, (text) => change(text, 2, { position: 1.5 })],
      ['a version that is none', 3, (text) => change(text, 2, { version: 0 })],
      ['an id that is none', 3, (text) => change(text, 2, { id: 7 })],
      ['a time that is none', 3, (text) => text.with(2, text[2]?.replace(/"time":\d+/, '"time":1e999') ?? '')],
      ['a commit that is none', 3, (text) => change(text, 2, { commit: 'x' })],
      ['a schema version that is none', 3, (text) => change(text, 2, { schema: 0 })],
      ['an event that is too large', 3, (text) => change(text, 2, { data: 'x'.repeat(2000) })],
      ['a missing line', 3, (text) => text.toSpliced(2, 1)],
      ['a line that comes twice', 4, (text) => text.toSpliced(2, 0, text[2] ?? '')],
      ['a missing end', 4, (text) => text.slice(0, 4)],
    ]
    test.for(spoilt)('names the line of a source with %s', async ([, line, spoil]) => {
      const store = await open()
      await store.append({ stream: 'a', events: many(1, 4) })
      const copy = await open('indexeddb', { maxEventCharacters: 1000 })
      const error = await importEvents(copy, spoil(await lines(store))).catch((reason: unknown) => reason)
      expect(error).toMatchObject({ code: 'invalid-import', line })
      expect((error as Error).message).toContain(`Line ${line} `)
      // Mended, it goes in whole.
      expect(await importEvents(copy, await lines(store))).toMatchObject({ position: 4 })
      expect(await all(copy.read())).toEqual(await all(store.read()))
    })

    test('never stores half of a commit, also when the source is cut off inside of one', async () => {
      const store = await open()
      for (let n = 0; n < 6; n += 1) await store.append({ stream: 'a', events: many(n * 300, 300) })
      const source = await lines(store)
      for (const cut of [1301, 1500, 1501, 1799]) {
        const copy = await open()
        await expect(importEvents(copy, source.slice(0, cut))).rejects.toMatchObject({
          code: 'invalid-import',
          line: cut,
        })
        expect((await copy.head()) % 300, `cut at ${cut}`).toBe(0)
      }
    })

    test('refuses an export of a newer build', async () => {
      const copy = await open()
      await expect(
        importEvents(copy, '{"tidemark":"export","format":2,"log":"x","after":0,"head":0}'),
      ).rejects.toMatchObject({ code: 'unsupported-format', reason: 'newer' })
    })

    test('refuses what is no source, and cancels a stream that it does not read to the end', async () => {
      const copy = await open()
      for (const bad of [7, null, {}, [7]])
        await expect(importEvents(copy, bad as never)).rejects.toMatchObject({ code: 'invalid-argument' })
      let cancelled = false
      const endless = new ReadableStream<string>({
        pull: (controller) => controller.enqueue('no header\n'),
        cancel: () => void (cancelled = true),
      })
      await expect(importEvents(copy, endless)).rejects.toMatchObject({ code: 'invalid-import', line: 1 })
      expect(cancelled).toBe(true)
    })

    test('works on a copy of a store, and not on another backend', async () => {
      const store = await open()
      expect(await importEvents({ ...store }, await lines(store))).toMatchObject({ imported: 0 })
      await expect(importEvents({ head: () => 0 } as never, [])).rejects.toMatchObject({ code: 'invalid-argument' })
    })
  })

  test('two imports of one source at once store every event once', async () => {
    const store = await open()
    for (let n = 0; n < 10; n += 1) await store.append({ stream: `s-${n % 3}`, events: many(n * 300, 300) })
    const source = await lines(store)
    const copy = await open()
    const second = await openEventStore({ name: copy.name })
    opened.push(second)
    const results = await Promise.all([importEvents(copy, source), importEvents(second, source)])
    expect(results.reduce((sum, { imported }) => sum + imported, 0)).toBe(3000)
    expect(await all(copy.read())).toEqual(await all(store.read()))
  })
}

function change(text: string[], index: number, properties: object): string[] {
  return text.with(index, JSON.stringify({ ...(JSON.parse(text[index] ?? '') as RecordedEvent), ...properties }))
}

function streamOf<T>(chunks: readonly T[]): ReadableStream<T> {
  return new ReadableStream<T>({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk)
      controller.close()
    },
  })
}
