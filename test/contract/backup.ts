/** Backups: parts in any order, sources that are damaged or fail, and logs that have events of their own. */
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import {
  compactEvents,
  exportEvents,
  importEvents,
  openEventStore,
  verifyEventStore,
  type TidemarkStore,
} from 'tidemark'
import { openEventStore as openMemory } from 'tidemark/memory'
import { editRecord } from '../support/raw-database.js'

interface Line {
  position: number
  commit: number
  end?: true
  stream: string
  version: number
  id: string
}

const media = { indexeddb: openEventStore, memory: openMemory } as const
const mediaNames = ['indexeddb', 'memory'] as const

let count = 0
const opened: TidemarkStore[] = []
const open = async (medium: keyof typeof media = 'indexeddb') => {
  const store = await media[medium]({ name: `backup-${(count += 1)}-${Math.random()}`, durability: 'relaxed' })
  opened.push(store)
  return store
}

const added = (value: unknown, id?: string) => ({ type: 'Added', data: { value }, ...(id === undefined ? {} : { id }) })
const many = (from: number, length: number) => Array.from({ length }, (_, index) => added(from + index))

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const item of items) list.push(item)
  return list
}
const lines = (store: TidemarkStore, options?: { after?: number; upTo?: number }) => all(exportEvents(store, options))
const parsed = (line: string | undefined) => JSON.parse(line ?? '') as Line
const header = (list: readonly string[]) =>
  JSON.parse(list[0] ?? '') as { after: number; head: number; previous?: { id: string; stream: string } }
/** What a stream is made of. */
const historyOf = async (store: TidemarkStore, stream: string) =>
  (await all(store.readStream(stream))).map(
    ({ version, data }) => `v${version}: ${String((data as { value: unknown }).value)}`,
  )
const importOf = (store: TidemarkStore, source: Parameters<typeof importEvents>[1]) =>
  importEvents(store, source).catch(
    (error: unknown) => error as Error & { code?: string; line?: number; cause?: unknown },
  )

/** Of ten events, each a commit: of one stream, or of three in turn. */
async function tenEvents(medium: keyof typeof media = 'indexeddb', streams = 1): Promise<TidemarkStore> {
  const store = await open(medium)
  for (let n = 1; n <= 10; n += 1) await store.append({ stream: `s-${n % streams}`, events: [added(n)] })
  return store
}

function streamOf<T>(chunks: readonly T[], failure?: unknown): ReadableStream<T> {
  const left = [...chunks]
  return new ReadableStream<T>({
    pull(controller) {
      const next = left.shift()
      if (next !== undefined) controller.enqueue(next)
      else if (failure === undefined) controller.close()
      else controller.error(failure)
    },
  })
}
const bytesOf = (text: string) => new TextEncoder().encode(text)

export function backupContract(): void {
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((store) => store.close()))
  })

  describe('parts of a log', () => {
    const orders: [string, { parts: { after?: number; upTo?: number }[]; refused: { at: number; names: string[] } }][] =
      [
        ['the second one first', { parts: [{ after: 5 }], refused: { at: 0, names: ['1 to 5'] } }],
        ['the last one first', { parts: [{ after: 9 }], refused: { at: 0, names: ['1 to 9'] } }],
        ['after a single event', { parts: [{ after: 1 }], refused: { at: 0, names: ['position 1 is missing'] } }],
        ['one in between is missing', { parts: [{ upTo: 3 }, { after: 6 }], refused: { at: 1, names: ['4 to 6'] } }],
        [
          'one event in between is missing',
          { parts: [{ upTo: 3 }, { after: 4 }], refused: { at: 1, names: ['position 4 is missing'] } },
        ],
        [
          'the third one second',
          { parts: [{ upTo: 3 }, { after: 3, upTo: 5 }, { after: 7, upTo: 9 }], refused: { at: 2, names: ['6 to 7'] } },
        ],
        ['an empty one at the end first', { parts: [{ after: 10 }], refused: { at: 0, names: ['1 to 10'] } }],
      ]
    for (const [what, { parts, refused }] of orders) {
      for (const streams of [1, 3, 10]) {
        test(`out of order: ${what} (${streams} streams)`, async () => {
          const store = await tenEvents('indexeddb', streams)
          for (const medium of mediaNames) {
            const copy = await open(medium)
            for (const [index, part] of parts.entries()) {
              const before = await all(copy.read())
              const result = await importOf(copy, await lines(store, part))
              if (index < refused.at) {
                expect(result).toMatchObject({ skipped: 0 })
                continue
              }
              expect(result).toMatchObject({ code: 'invalid-import', line: 1 })
              for (const name of refused.names) expect((result as Error).message).toContain(name)
              expect(await all(copy.read())).toEqual(before)
            }
            // The whole of it makes it whole.
            await importEvents(copy, await lines(store))
            expect(await all(copy.read())).toEqual(await all(store.read()))
          }
        })
      }
    }

    test.for<{ after?: number; upTo?: number }[][]>([
      [[{ upTo: 5 }, { after: 5 }]],
      [[{ upTo: 5 }, { upTo: 5 }, { after: 5 }, { after: 5 }]],
      [[{ upTo: 5 }, { after: 2 }]],
      [[{ upTo: 8 }, { after: 2, upTo: 6 }, {}]],
      [[{}, { after: 5 }, { upTo: 5 }, { after: 10 }]],
      [[{ upTo: 0 }, { after: 0, upTo: 1 }, { after: 1, upTo: 1 }, { after: 1, upTo: 9 }, { after: 9 }]],
    ])('in order, overlapping, or again: %j', async ([parts]) => {
      for (const streams of [1, 3]) {
        const store = await tenEvents('indexeddb', streams)
        for (const medium of mediaNames) {
          const copy = await open(medium)
          let head = 0
          for (const part of parts ?? []) {
            const { after = 0, upTo = 10 } = part
            const fresh = Math.max(0, upTo - head)
            head = Math.max(head, upTo)
            expect(await importEvents(copy, await lines(store, part))).toEqual({
              imported: fresh,
              skipped: upTo - after - fresh,
              total: upTo - after,
              position: head,
            })
          }
          expect(await all(copy.read())).toEqual(await all(store.read()))
        }
      }
    })

    test('go on in a copy that was compacted, and from one', async () => {
      const store = await open()
      for (let n = 1; n <= 60; n += 1) await store.append({ stream: `s-${n % 4}`, events: [added(n)] })
      const copy = await open()
      await importEvents(copy, await lines(store, { upTo: 37 }))
      await compactEvents(copy)
      await compactEvents(store)
      expect(await importOf(copy, await lines(store, { after: 38 }))).toMatchObject({
        code: 'invalid-import',
        message: expect.stringContaining('position 38 is missing') as unknown,
      })
      expect(await importEvents(copy, await lines(store, { after: 37, upTo: 50 }))).toMatchObject({ imported: 13 })
      // Of the copy, which is another log with the same events.
      const third = await open('memory')
      await importEvents(third, await lines(copy))
      expect(await importEvents(third, await lines(store, { after: 50 }))).toMatchObject({ imported: 10 })
      expect(await all(third.read())).toEqual(await all(store.read()))
    })

    test('of another log are refused, whatever is here', async () => {
      const [one, other] = [await tenEvents(), await tenEvents()]
      for (const medium of mediaNames) {
        const copy = await open(medium)
        await importEvents(copy, await lines(one))
        const before = await all(copy.read())
        expect(await importOf(copy, await lines(other, { after: 5 }))).toMatchObject({
          code: 'invalid-import',
          line: 1,
          message: expect.stringContaining('up to 5') as unknown,
        })
        expect(await all(copy.read())).toEqual(before)
      }
    })

    test('continue in a log that has appended meanwhile, behind what it has', async () => {
      const store = await tenEvents('indexeddb', 2)
      for (const medium of mediaNames) {
        const copy = await open(medium)
        await importEvents(copy, await lines(store, { upTo: 4 }))
        await copy.append([
          { stream: 'own', events: [added('own')] },
          { stream: 's-0', events: [added('here')] },
        ])
        expect(await importEvents(copy, await lines(store, { after: 4 }))).toMatchObject({ imported: 6, position: 12 })
        expect(await historyOf(copy, 's-0')).toEqual(['v1: 2', 'v2: 4', 'v3: here', 'v4: 6', 'v5: 8', 'v6: 10'])
        expect(await historyOf(copy, 's-1')).toEqual(['v1: 1', 'v2: 3', 'v3: 5', 'v4: 7', 'v5: 9'])
        expect(await verifyEventStore(copy)).toMatchObject({ ok: true })
      }
    })

    test('an older export, which names no event before it, is held to positions and versions', async () => {
      const store = await tenEvents()
      const old = (part: string[]) =>
        part.map((line) => {
          const { previous: _, end: __, ...rest } = JSON.parse(line) as Record<string, unknown>
          return JSON.stringify(rest)
        })
      for (const medium of mediaNames) {
        const copy = await open(medium)
        expect(await importOf(copy, old(await lines(store, { after: 5 })))).toMatchObject({
          code: 'invalid-import',
          line: 1,
          message: expect.stringContaining('1 to 5') as unknown,
        })
        for (let n = 1; n <= 7; n += 1) await copy.append({ stream: n < 4 ? 's-0' : 'own', events: [added(n)] })
        const refused = await importOf(copy, old(await lines(store, { after: 5 })))
        expect(refused).toMatchObject({
          code: 'invalid-import',
          line: 2,
          message: expect.stringContaining('versions 4 to 5 are missing') as unknown,
        })
        expect(await copy.head()).toBe(7)
        const whole = await open(medium)
        await importEvents(whole, old(await lines(store, { upTo: 5 })))
        await importEvents(whole, old(await lines(store, { after: 5 })))
        expect(await all(whole.read())).toEqual(await all(store.read()))
      }
    })

    test('is held to versions at the first event of a stream, wherever it stands', async () => {
      const store = await open()
      await store.append({ stream: 't', events: many(0, 1) })
      for (let n = 0; n < 2; n += 1) await store.append({ stream: 's', events: many(n * 500, 500) })
      await store.append({ stream: 't', events: many(1, 1) })
      const part = (await lines(store, { after: 1 })).map((line) =>
        line.replace(/,"previous":\{[^}]*\}/, '').replace(',"end":true', ''),
      )
      const copy = await open()
      await copy.append({ stream: 'own', events: [added(0)] })
      expect(await importOf(copy, part)).toMatchObject({
        code: 'invalid-import',
        line: 1002,
        message: expect.stringContaining('version 1 is missing') as unknown,
      })
      expect(await copy.head()).toBe(1001)
    })

    test('a header that ends before it begins is refused also where the log is long enough', async () => {
      const list = (await lines(await tenEvents()))
        .slice(0, 1)
        .map((line) => line.replace('"after":0,"head":10', '"after":100,"head":12'))
      const copy = await open()
      await copy.append({ stream: 's', events: many(0, 100) })
      expect(await importOf(copy, list)).toMatchObject({ code: 'invalid-import', line: 1 })
    })

    test('a whole log begins every stream with its first version, whatever is here', async () => {
      const store = await tenEvents()
      const copy = await open()
      await copy.append({ stream: 'other', events: [added('own')] })
      expect(await importOf(copy, change(await lines(store), 1, { stream: 'other', version: 2 }))).toMatchObject({
        code: 'invalid-import',
        line: 2,
      })
      expect(await copy.head()).toBe(1)
    })

    test('names its first and last position, and the event before; one that begins behind the log is refused', async () => {
      for (const medium of mediaNames) {
        const store = await tenEvents(medium)
        await store.append([
          { stream: 's-0', events: many(11, 1) },
          { stream: 't', events: many(12, 1) },
        ])
        const events = await all(store.read())
        expect(header(await lines(store, { after: 5 }))).toMatchObject({
          after: 5,
          head: 12,
          previous: { id: events[4]?.id, stream: 's-0' },
        })
        expect(
          (await lines(store, { after: 9 }))
            .slice(1)
            .map((line) => [parsed(line).position, parsed(line).commit, parsed(line).end]),
        ).toEqual([
          [10, 10, true],
          [11, 11, undefined],
          [12, 11, true],
        ])
        expect(
          (await lines(store, { after: 9, upTo: 11 }))
            .slice(1)
            .map((line) => [parsed(line).position, parsed(line).end]),
        ).toEqual([
          [10, true],
          [11, undefined],
        ])
        const empty = await lines(store, { after: 12 })
        expect([empty.length, header(empty)]).toMatchObject([1, { after: 12, head: 12 }])
        for (const [options, code] of [
          [{ after: 100 }, 'invalid-argument'],
          [{ after: 13 }, 'invalid-argument'],
          [{ upTo: 13 }, 'log-inconsistent'],
          [{ after: 13, upTo: 20 }, 'invalid-argument'],
        ] as const) {
          const told: string[] = []
          const reading = (async () => {
            for await (const line of exportEvents(store, options)) told.push(line)
          })()
          await expect(reading).rejects.toMatchObject({ code })
          expect(told).toEqual([])
        }
        expect(() => exportEvents(store, { after: 6, upTo: 5 })).toThrow(
          expect.objectContaining({ code: 'invalid-argument' }),
        )
        expect(() => exportEvents(store, { afer: 6 } as never)).toThrow(
          expect.objectContaining({ code: 'invalid-argument', message: expect.stringContaining("'afer'") as unknown }),
        )
      }
    })

    test('a damaged event, and a damaged end, can be exported around', async () => {
      const store = await tenEvents()
      await editRecord(store.name, 10, (record) => ({ ...record, events: '[{' }))
      expect(await lines(store, { upTo: 9 })).toHaveLength(10)
      await editRecord(store.name, 4, (record) => ({ ...record, events: '[{' }))
      const behind = await lines(store, { after: 4, upTo: 9 })
      expect([behind.length, 'previous' in header(behind)]).toEqual([6, false])
    })

    const lies: [string, number, (list: string[]) => string[]][] = [
      ['a header whose end comes before its begin', 1, (list) => change(list, 0, { after: 100 })],
      ['a header with a previous event that is none', 1, (list) => change(list, 0, { previous: { id: '' } })],
      ['a version that is missing', 4, (list) => change(list, 3, { version: 4 })],
      ['a version that comes again', 4, (list) => change(list, 3, { version: 2 })],
      [
        'a stream that does not begin with its first version',
        2,
        (list) => change(list, 1, { stream: 'other', version: 2 }),
      ],
      ['more events than its header says', 10, (list) => change(list, 0, { head: 8 })],
      ['a commit that begins behind its event', 4, (list) => change(list, 3, { commit: 4 })],
      ['a commit that is not that of the line before', 4, (list) => change(list, 3, { commit: 1 })],
      ['the id of another event', 4, (list) => change(list, 3, { id: parsed(list[1]).id })],
      ['a second export behind it', 12, (list) => [...list, ...list]],
    ]
    test.for(lies)('a source with %s is refused', async ([, line, spoil]) => {
      const store = await tenEvents()
      for (const medium of mediaNames) {
        const copy = await open(medium)
        expect(await importOf(copy, spoil(await lines(store)))).toMatchObject({ code: 'invalid-import', line })
        expect(await copy.head(), 'what comes before').toBe(Math.max(0, line - 2))
      }
    })
  })

  describe('a log that has other events', () => {
    const commits = async () => {
      const store = await open()
      await store.append([{ stream: 'one', events: [added('a', 'id-a'), added('b', 'id-b')] }])
      await store.append([{ stream: 'two', events: [added('c', 'id-c'), added('d', 'id-d')] }])
      return lines(store)
    }

    test('takes what it does not have, with its commits apart', async () => {
      for (const medium of mediaNames) {
        const copy = await open(medium)
        await copy.append({ stream: 'two', events: [added('c', 'id-c')] })
        expect(await importEvents(copy, await commits())).toEqual({ imported: 3, skipped: 1, total: 4, position: 4 })
        const list = (await lines(copy)).slice(1).map(parsed)
        expect(list.map(({ id, commit, end }) => [id, commit, end])).toEqual([
          ['id-c', 1, true],
          ['id-a', 2, undefined],
          ['id-b', 2, true],
          ['id-d', 4, true],
        ])
      }
    })

    test('refuses what would put a stream out of order', async () => {
      for (const medium of mediaNames) {
        const copy = await open(medium)
        await copy.append({ stream: 'two', events: [added('d', 'id-d')] })
        const before = await all(copy.read())
        expect(await importOf(copy, await commits())).toMatchObject({
          code: 'invalid-import',
          line: 5,
          message: expect.stringContaining('out of order') as unknown,
        })
        expect(await all(copy.read())).toEqual(before)
      }
    })

    test('refuses it also when what comes before was stored by an earlier transaction', async () => {
      const store = await open()
      for (let n = 0; n < 3; n += 1)
        await store.append({
          stream: 's',
          events: Array.from({ length: 1000 }, (_, at) => added(n * 1000 + at, `id-${n * 1000 + at}`)),
        })
      for (const medium of mediaNames) {
        const copy = await open(medium)
        // The first one of its transaction.
        await copy.append({ stream: 's', events: [added(2000, 'id-2000')] })
        expect(await importOf(copy, await lines(store))).toMatchObject({
          code: 'invalid-import',
          line: 2002,
          message: expect.stringContaining('out of order') as unknown,
        })
        expect(await copy.head()).toBe(2001)
      }
    })

    test('takes a commit of thousands of events in one transaction', async () => {
      const store = await open()
      await store.append({ stream: 's', events: many(0, 2300) })
      await store.append({ stream: 's', events: many(2300, 1) })
      const list = await lines(store)
      const copy = await open()
      const told: number[] = []
      await importEvents(copy, list, { onProgress: ({ imported }) => told.push(imported) })
      expect(told).toEqual([2300, 2301])
      expect((await lines(copy)).slice(1)).toEqual(list.slice(1))
    })

    test('refuses an id that it has in another stream', async () => {
      for (const medium of mediaNames) {
        const copy = await open(medium)
        await copy.append({ stream: 'elsewhere', events: [added('b', 'id-b')] })
        expect(await importOf(copy, await commits())).toMatchObject({
          code: 'invalid-import',
          line: 3,
          message: expect.stringContaining("'elsewhere'") as unknown,
        })
        expect(await copy.head()).toBe(1)
      }
    })

    test('counts an id that stands twice in the source as skipped, near or far', async () => {
      for (const far of [1, 1500]) {
        const store = await open()
        await store.append({ stream: 's', events: many(0, far) })
        await store.append({ stream: 's', events: many(far, 2) })
        const list = await lines(store)
        const first = parsed(list[1])
        const twice = change(list, far + 1, { ...first, position: far + 1, commit: far + 1, version: far + 1 })
        for (const medium of mediaNames) {
          const copy = await open(medium)
          const { imported, skipped, total } = await importEvents(copy, twice)
          expect({ imported, skipped, total }).toEqual({ imported: far + 1, skipped: 1, total: far + 2 })
          expect(await copy.head()).toBe(far + 1)
        }
      }
    })
  })

  describe('a source that is damaged', () => {
    test('ten events, line 7 broken: what comes before is there, and the whole is imported afterwards', async () => {
      const store = await tenEvents()
      const list = await lines(store)
      for (const medium of mediaNames) {
        const copy = await open(medium)
        const told: unknown[] = []
        await expect(
          importEvents(copy, list.with(6, '{"position":6,"comm\n'), { onProgress: (progress) => told.push(progress) }),
        ).rejects.toMatchObject({ code: 'invalid-import', line: 7 })
        expect(told).toEqual([{ imported: 5, skipped: 0, total: 10 }])
        expect(await all(copy.read())).toEqual((await all(store.read())).slice(0, 5))
        expect(await importEvents(copy, list)).toMatchObject({ imported: 5, skipped: 5, position: 10 })
      }
    })

    test('lines of a commit that is cut off do not count as skipped', async () => {
      const from = await open()
      await from.append({ stream: 's', events: many(1, 2) })
      await from.append({ stream: 's', events: many(3, 3) })
      const to = await open()
      const told: unknown[] = []
      const cut = (await lines(from)).slice(0, -1)
      await expect(
        importEvents(to, cut, { onProgress: ({ imported, skipped }) => void told.push({ imported, skipped }) }),
      ).rejects.toMatchObject({ code: 'invalid-import' })
      expect(told.at(-1)).toEqual({ imported: 2, skipped: 0 })
    })

    test('whatever it is, the longest run of whole commits before it is stored', { timeout: 240_000 }, async () => {
      const damages = ['cut', 'garbage', 'no UTF-8', 'missing line', 'failure'] as const
      const forms = [
        'text',
        'lines',
        'async lines',
        'bytes',
        'byte stream',
        'text stream',
        'blob',
        'byte iterator',
      ] as const
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.array(fc.constantFrom('a', 'größe', '😀'), { minLength: 1, maxLength: 4 }), {
            minLength: 1,
            maxLength: 9,
          }),
          fc.constantFrom(...damages),
          fc.constantFrom(...forms),
          fc.double({ min: 0, max: 1, noNaN: true }),
          fc.integer({ min: 1, max: 40 }),
          fc.constantFrom(...mediaNames),
          fc.boolean(),
          fc.constantFrom('', '\uFEFF'),
          fc.constantFrom('\n', '\r\n'),
          async (commits, damage, form, where, size, medium, large, mark, lineEnd) => {
            const store = await open('memory')
            if (large) await store.append({ stream: 'large', events: many(0, 1100) })
            for (const streams of commits)
              await store.append(streams.map((stream) => ({ stream, events: [added(stream)] })))
            const list = (await lines(store)).map((line) => line.replace('\n', lineEnd))
            const events = list.slice(1).map(parsed)
            const whole = bytesOf(mark + list.join(''))
            /** Of each line, where it begins in the bytes; then the end. */
            const begins = list.reduce(
              (all, line) => [...all, (all.at(-1) as number) + bytesOf(line).length],
              [bytesOf(mark).length],
            )
            /** The first line that is damaged, from 0. */
            let damaged = Math.floor(where * list.length * 0.999)
            let bytes = whole
            let failure: unknown
            if (damage === 'cut') {
              const at = Math.floor(where * whole.length)
              bytes = whole.slice(0, at)
              // Without its line end a line is a line.
              damaged = begins.findIndex((_, line) => (begins[line + 1] ?? Infinity) - lineEnd.length > at)
            } else if (damage === 'garbage' || damage === 'no UTF-8') {
              bytes = whole.slice()
              bytes[(begins[damaged] as number) + 5] = damage === 'garbage' ? 0x01 : 0xff
            } else if (damage === 'missing line') {
              bytes = bytesOf(mark + list.toSpliced(damaged, 1).join(''))
            } else {
              bytes = whole.slice(0, begins[damaged])
              failure = new Error('the network went away')
            }
            const isText = !['bytes', 'byte stream', 'blob', 'byte iterator'].includes(form)
            if (isText && damage === 'no UTF-8') return
            const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes)
            if (isText && text.includes('\uFFFD')) return
            if (failure !== undefined && ['text', 'bytes', 'blob'].includes(form)) return
            const pieces = <T extends string | Uint8Array>(of: T) =>
              Array.from({ length: Math.ceil(of.length / size) }, (_, at) => of.slice(at * size, (at + 1) * size) as T)
            const split = text === '' || text === mark ? [] : text.split(/(?<=\n)/)
            async function* failing<T>(items: readonly T[]) {
              yield* items
              if (failure !== undefined) throw failure
            }
            const copy = await open(medium)
            const result = await importOf(
              copy,
              form === 'text'
                ? text
                : form === 'lines'
                  ? failure === undefined
                    ? split
                    : (function* () {
                        yield* split
                        throw failure
                      })()
                  : form === 'async lines'
                    ? failing(split)
                    : form === 'bytes'
                      ? bytes
                      : form === 'byte stream'
                        ? streamOf(pieces(bytes), failure)
                        : form === 'text stream'
                          ? streamOf(pieces(text), failure)
                          : form === 'blob'
                            ? new Blob([bytes])
                            : failing(pieces(bytes)),
            )
            if (result instanceof Error) {
              const expected =
                events.findLast(({ end, position }) => end === true && position < Math.max(1, damaged))?.position ?? 0
              expect(result.code).toBe('invalid-import')
              // That the last line is missing shows at the one before.
              if (damage !== 'cut')
                expect(result.line).toBe(damage === 'missing line' && damaged === events.length ? damaged : damaged + 1)
              if (failure !== undefined) expect(result.cause).toBe(failure)
              expect(await copy.head()).toBe(expected)
            } else {
              // Nothing is missing but the last line end, or it was the last line that is missing and there is none.
              expect([damage, await copy.head()]).toEqual(['cut', events.length])
            }
            expect(await all(copy.read())).toEqual((await all(store.read())).slice(0, await copy.head()))
            expect(await importEvents(copy, list)).toMatchObject({ position: events.length })
            expect(await all(copy.read())).toEqual(await all(store.read()))
          },
        ),
        { numRuns: 100 },
      )
    })

    test('that uses its memory again after each piece, is read as it was', async () => {
      const store = await tenEvents()
      const bytes = bytesOf((await lines(store)).join(''))
      const memory = new Uint8Array(100)
      const reusing = async function* () {
        for (let at = 0; at < bytes.length; at += memory.length) {
          const piece = bytes.subarray(at, at + memory.length)
          memory.set(piece)
          yield memory.subarray(0, piece.length)
        }
      }
      const copy = await open()
      expect(await importEvents(copy, reusing())).toMatchObject({ imported: 10 })
    })

    test('of an older export, whose lines do not say where commits end, the last commit before the damage is left out', async () => {
      const store = await open()
      for (let n = 0; n < 4; n += 1) await store.append({ stream: 's', events: many(n * 2, 2) })
      const old = (await lines(store)).map((line) => line.replace(',"end":true', ''))
      const copy = await open()
      expect(await importOf(copy, old.slice(0, 6))).toMatchObject({ code: 'invalid-import', line: 6 })
      expect(await copy.head()).toBe(4)
      expect(await importOf(copy, old.with(6, 'x'))).toMatchObject({ code: 'invalid-import', line: 7 })
      expect(await copy.head()).toBe(4)
      expect(await importEvents(copy, old)).toMatchObject({ imported: 4, skipped: 4 })
      expect(await lines(copy)).toHaveLength(9)
    })

    test('a byte that is no UTF-8 costs its own line', async () => {
      const bytes = bytesOf((await lines(await tenEvents())).join(''))
      bytes[bytes.lastIndexOf(10, bytes.length - 2) + 5] = 0xff
      const copy = await open()
      expect(await importOf(copy, bytes)).toMatchObject({ code: 'invalid-import', line: 11 })
      expect(await copy.head()).toBe(9)
    })

    test('whose lines name no commit, is taken line by line', async () => {
      const list = (await lines(await tenEvents())).map((line) => line.replace(/,?"(commit|end)":\w+/g, ''))
      const copy = await open()
      expect(await importOf(copy, list.with(6, 'x'))).toMatchObject({ code: 'invalid-import', line: 7 })
      expect(await copy.head()).toBe(5)
    })

    test('that yields what is neither text nor bytes, stores what came before', async () => {
      const store = await tenEvents()
      const list = await lines(store)
      const copy = await open()
      expect(await importOf(copy, [...list.slice(0, 4), 7 as never])).toMatchObject({ code: 'invalid-argument' })
      expect(await copy.head()).toBe(3)
    })

    test('an app whose own callback fails is told so, and nothing more is stored', async () => {
      const store = await open()
      await store.append({ stream: 's', events: many(0, 1200) })
      await store.append({ stream: 's', events: many(1200, 5) })
      const copy = await open()
      const failure = new Error('of the app')
      await expect(
        importEvents(copy, await lines(store), {
          onProgress: () => {
            throw failure
          },
        }),
      ).rejects.toBe(failure)
      expect(await copy.head()).toBe(1200)
    })

    test('a storage that fails meanwhile is what is told', async () => {
      const store = await tenEvents()
      const list = await lines(store)
      const copy = await open()
      const closing = async function* () {
        yield* list.slice(0, 5)
        await copy.close()
        yield 'garbage'
      }
      expect(await importOf(copy, closing())).toMatchObject({ code: 'closed' })
    })
  })

  describe('a signal', () => {
    test.for<[string, (list: string[]) => { source: Parameters<typeof importEvents>[1]; cancelled: () => boolean }]>([
      [
        'stream',
        (list) => {
          let cancelled = false
          let at = 0
          return {
            source: new ReadableStream<string>({
              pull: (controller) => (at < 5 ? controller.enqueue(list[at++] as string) : new Promise(() => {})),
              cancel: () => void (cancelled = true),
            }),
            cancelled: () => cancelled,
          }
        },
      ],
      [
        'iterator',
        (list) => {
          let cancelled = false
          let at = 0
          const iterator: AsyncIterator<string> = {
            next: () => (at < 5 ? Promise.resolve({ value: list[at++] as string }) : new Promise(() => {})),
            return: () => {
              cancelled = true
              return new Promise(() => {})
            },
          }
          return { source: { [Symbol.asyncIterator]: () => iterator }, cancelled: () => cancelled }
        },
      ],
    ])('ends an import whose source is silent: %s', async ([, make]) => {
      const store = await tenEvents()
      const copy = await open()
      const { source, cancelled } = make(await lines(store))
      const controller = new AbortController()
      const importing = importEvents(copy, source, { signal: controller.signal })
      importing.catch(() => {})
      // Behind all that the source has.
      await copy.head()
      await copy.head()
      controller.abort('enough')
      await expect(importing).rejects.toBe('enough')
      expect(await copy.head()).toBe(0)
      expect(cancelled()).toBe(true)
    })

    test('that was aborted before is heard first', async () => {
      const copy = await open()
      await expect(importEvents(copy, [], { signal: AbortSignal.abort('no') })).rejects.toBe('no')
    })
  })

  test('options that there are not are refused', async () => {
    const store = await tenEvents()
    for (const attempt of [
      () => importEvents(store, [], { onprogress() {} } as never),
      () => importEvents(store, [], null as never),
      () => compactEvents(store, { eventPerRecord: 8 } as never),
      () => verifyEventStore(store, { sginal: undefined } as never),
      () => lines(store, { upto: 3 } as never),
    ])
      await expect((async () => attempt())()).rejects.toMatchObject({ code: 'invalid-argument' })
  })
}

function change(list: readonly string[], index: number, properties: object): string[] {
  return list.with(index, `${JSON.stringify({ ...(JSON.parse(list[index] ?? '') as object), ...properties })}\n`)
}
