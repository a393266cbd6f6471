/** What an append does with clocks, ids, options and code of the app that misbehave. Run against memory, fake-indexeddb and real browsers. */
import { afterEach, describe, expect, vi } from 'vitest'
import {
  defineEvents,
  defineProjection,
  importEvents,
  startProjection,
  table,
  type Codec,
  type EventStoreOptions,
  type RecordedEvent,
  type StandardSchema,
  type TidemarkStore,
} from 'tidemark'
import { leavingOut } from '../support/leaving-out.js'
import { seededRandom } from '../../src/testing/random.js'

type Open = (options?: Partial<EventStoreOptions<any>> & { readonly name?: string }) => Promise<TidemarkStore>

const added = (value: unknown = 1, id?: string) => ({
  type: 'Added',
  data: { value },
  ...(id === undefined ? {} : { id }),
})
const never = () => new Promise<never>(() => {})
const schemaOf = (validate: (value: any) => unknown): StandardSchema<any, any> => ({
  '~standard': { version: 1, vendor: 'test', validate: validate as never },
})

async function all(events: AsyncIterable<RecordedEvent>): Promise<RecordedEvent[]> {
  const list: RecordedEvent[] = []
  for await (const event of events) list.push(event)
  return list
}
const values = async (store: TidemarkStore) =>
  (await all(store.read())).map(({ data }) => (data as { value: unknown }).value)

/** Rejections that no one handled while `work` ran, and a little longer. */
async function unhandledOf(work: () => Promise<unknown>): Promise<unknown[]> {
  const found: unknown[] = []
  const inNode = typeof window === 'undefined' && typeof process === 'object'
  const add = (reason: unknown) => void found.push(reason)
  const hear = (event: PromiseRejectionEvent) => {
    event.preventDefault()
    add(event.reason)
  }
  const before = inNode ? process.listeners('unhandledRejection') : []
  if (inNode) {
    process.removeAllListeners('unhandledRejection')
    process.on('unhandledRejection', add)
  } else addEventListener('unhandledrejection', hear)
  try {
    await work()
    for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setTimeout(resolve, 0))
  } finally {
    if (inNode) {
      process.removeAllListeners('unhandledRejection')
      for (const listener of before) process.on('unhandledRejection', listener)
    } else removeEventListener('unhandledrejection', hear)
  }
  return found
}

/** A UUIDv7 of a time. */
const idOf = (time: number, n = 1) => {
  const stamp = time.toString(16).padStart(12, '0')
  return `${stamp.slice(0, 8)}-${stamp.slice(8)}-7000-8000-${n.toString(16).padStart(12, '0')}`
}

export function appendContract(name: string, open: Open, leaveOut: readonly string[] = []): void {
  const test = leavingOut(leaveOut)
  describe(`appending: ${name}`, () => {
    afterEach(() => void vi.restoreAllMocks())
    const within = async (options: Parameters<Open>[0], work: (store: TidemarkStore) => Promise<void>) => {
      const store = await open(options)
      try {
        await work(store)
      } finally {
        await store.close()
      }
    }
    const on = (title: string, work: (store: TidemarkStore) => Promise<void>) => test(title, () => within({}, work))

    describe('clocks', () => {
      test.for([Number.NaN, Infinity, -Infinity, undefined, null, '7', 10n, 1e300, -1e300, {}])(
        'a clock that returns %s stores nothing',
        async (time) => {
          await within({}, async (store) => {
            await store.append({ stream: 'a', events: [added('before')] })
            const clock = vi.spyOn(Date, 'now').mockReturnValue(time as number)
            const made = defineEvents<{ type: 'Added'; data: { value: string } }>().Added({ value: 'made' })
            expect(made.id).toMatch(/^[0-9a-f-]{36}$/)
            for (const event of [added('x'), made]) {
              await expect(store.append({ stream: 'a', events: [event] })).rejects.toMatchObject({
                code: 'invalid-argument',
                outcome: 'not-written',
              })
            }
            clock.mockRestore()
            expect(await store.append({ stream: 'a', events: [made] })).toMatchObject({ position: 2, duplicate: false })
            expect(await values(store)).toEqual(['before', 'made'])
          })
        },
      )
      test.for([Number.NaN, Infinity, undefined, null, '7', 10n, {}])(
        'a projection that stops, or sets events aside, while the clock returns %s goes on afterwards',
        async (time) => {
          await within({}, async (store) => {
            for (const value of [1, 2, 3]) await store.append({ stream: 'a', events: [added(value)] })
            const failing = (name: string, onFailure: 'fatal' | 'park') =>
              defineProjection(defineEvents<{ type: 'Added'; data: { value: number } }>(), {
                name,
                tables: { rows: table<{ id: number }>({ key: 'id' }) },
                onFailure: () => onFailure,
                on: {
                  Added({ position }, { rows }) {
                    if (position === 2) throw new Error('no')
                    rows.put({ id: position })
                  },
                },
              })
            const clock = vi.spyOn(Date, 'now').mockReturnValue(time as number)
            for (const onFailure of ['fatal', 'park'] as const) {
              const times: unknown[] = []
              const run = () =>
                startProjection(store, failing(onFailure, onFailure) as never, {
                  retry: { maxRetries: 0 },
                  onReport: (report) => void times.push(report.time),
                })
              const first = run()
              if (onFailure === 'park') await first.caughtUp(3)
              else await expect(first.caughtUp(3)).rejects.toMatchObject({ code: 'projection-failed', position: 2 })
              await first.stop()
              const second = run()
              if (onFailure === 'fatal') {
                await expect(second.caughtUp(3)).rejects.toMatchObject({ code: 'projection-failed', position: 2 })
                await second.skip(2)
              }
              await second.caughtUp(3)
              for await (const letter of second.deadLetters()) expect(letter.time).toBe(0)
              await second.stop()
              expect(new Set(times)).toEqual(new Set([0]))
            }
            clock.mockRestore()
          })
        },
      )
      test.for([
        [1.75, 1],
        [-1.5, -1],
        [-0, 0],
        [0, 0],
        [8.64e15, 8.64e15],
        [-86_400_000, -86_400_000],
      ])('of a clock that returns %d, whole milliseconds are stored', async ([time, stored]) => {
        await within({}, async (store) => {
          vi.spyOn(Date, 'now').mockReturnValue(time as number)
          // In columns and in rows.
          for (const count of [1, 5])
            await store.append({ stream: 'a', events: Array.from({ length: count }, (_, at) => added(at)) })
          expect((await all(store.readStream('a'))).map((event) => event.time)).toEqual(
            Array.from({ length: 6 }, () => stored),
          )
        })
      })
    })

    describe('the same id again', () => {
      const first = { type: 'Added', data: { value: 1, list: [{ a: 1, b: null }] }, id: 'order-1' }
      const cases: [string, string, object, RegExp][] = [
        ['in another stream', 'b', {}, /position 2 .*stream 'a', not 'b'/],
        ['of another type', 'a', { type: 'Removed' }, /position 2 .*type 'Added', not 'Removed'/],
        ['with other data', 'a', { data: { value: 2, list: [{ a: 1, b: null }] } }, /position 2 .*other data/],
        ['with a property more', 'a', { data: { value: 1, list: [{ a: 1, b: null }], c: null } }, /other data/],
        ['with a property less', 'a', { data: { value: 1 } }, /other data/],
        ['with another element', 'a', { data: { value: 1, list: [{ a: 1, b: null }, 1] } }, /other data/],
        ['with an object for a list', 'a', { data: { value: 1, list: { 0: { a: 1, b: null } } } }, /other data/],
        ['with null for an object', 'a', { data: { value: 1, list: [null] } }, /other data/],
        ['with other data that is no object', 'a', { data: 'Added' }, /other data/],
      ]
      for (const id of ['order-1', idOf(Date.UTC(2020, 0, 1)), idOf(Date.UTC(2200, 0, 1))]) {
        test.for(cases)(
          `${id}, %s: refused with the position, and nothing is stored`,
          async ([, stream, change, message]) => {
            await within({}, async (store) => {
              await store.append({ stream: 'a', events: [added('other')] })
              await store.append({ stream: 'a', events: [{ ...first, id }] })
              for (const options of [{}, { condition: { failIfEventsMatch: { types: ['None'] }, after: 0 } }]) {
                await expect(
                  store.append(
                    [
                      { stream, events: [{ ...first, id, ...change }] },
                      { stream: 'c', events: [] },
                    ],
                    options,
                  ),
                ).rejects.toMatchObject({
                  code: 'invalid-event',
                  path: 'writes[0].events[0].id',
                  message: expect.stringMatching(message),
                  outcome: 'not-written',
                })
              }
              expect(await store.head()).toBe(2)
              expect(await store.append({ stream: 'a', events: [{ ...first, id }] })).toMatchObject({
                duplicate: true,
                position: 2,
              })
            })
          },
        )
      }
      on('properties in another order, and other meta, are the same event', async (store) => {
        await store.append({ stream: 'a', events: [{ ...first, meta: { trace: 1 } }] })
        const again = {
          type: 'Added',
          data: { list: [{ b: null, a: 1 }], value: 1 },
          id: 'order-1',
          meta: { trace: 2 },
        }
        expect(await store.append({ stream: 'a', events: [again] })).toMatchObject({ duplicate: true, position: 1 })
        expect((await all(store.read())).map(({ meta }) => meta)).toEqual([{ trace: 1 }])
      })
      on('several events, of which a later one differs: it is named', async (store) => {
        await store.append({ stream: 'a', events: [1, 2, 3, 4, 5].map((n) => added(n, `e${n}`)) })
        await expect(
          store.append({ stream: 'a', events: [added(1, 'e1'), added(2, 'e2'), added('other', 'e3')] }),
        ).rejects.toMatchObject({ path: 'events[2].id', message: expect.stringContaining('position 3') })
        expect(await store.append({ stream: 'a', events: [added(1, 'e1'), added(3, 'e3')] })).toMatchObject({
          duplicate: true,
          firstPosition: 1,
          position: 3,
          versions: { a: 3 },
        })
      })
      on('of which only some are known: the message names one, where it is and what to do', async (store) => {
        await store.append({ stream: 'a', events: [added(1, 'known')] })
        await expect(store.append({ stream: 'a', events: [added(0, 'new'), added(1, 'known')] })).rejects.toMatchObject(
          {
            code: 'invalid-event',
            path: 'events[1].id',
            message: expect.stringContaining(
              "events[1].id is 'known', which is in the log already, at position 1, but not all events of this append are. Append the others alone.",
            ),
          },
        )
        expect(await store.head()).toBe(1)
      })
      test('of another version of its type: its data is not compared', async () => {
        const upcast = { 1: (data: any) => ({ value: data.old }) }
        await within({ events: defineEvents({ Added: { version: 2, upcast } }) }, async (store) => {
          const line = { position: 1, type: 'Added', data: { old: 7 }, stream: 'a', version: 1, id: 'order-1', time: 0 }
          await importEvents(
            store,
            `{"tidemark":"export","format":1,"log":"x","after":0,"head":1}\n${JSON.stringify(line)}\n`,
          )
          expect(await store.append({ stream: 'a', events: [added(7, 'order-1')] })).toMatchObject({ duplicate: true })
          await expect(store.append({ stream: 'b', events: [added(7, 'order-1')] })).rejects.toMatchObject({
            code: 'invalid-event',
          })
        })
      })
      test('H77: under a codec that never makes the same text twice: stream and type are compared', async () => {
        let nonce = 0
        const codec: Codec = {
          encode: async (data) => ({ nonce: (nonce += 1), data }),
          decode: (stored) => (stored as { data: unknown }).data,
        }
        await within({ codec }, async (store) => {
          await store.append({ stream: 'a', events: [added(1, 'order-1')] })
          expect(await store.append({ stream: 'a', events: [added(1, 'order-1')] })).toMatchObject({ duplicate: true })
          await expect(
            store.append({ stream: 'a', events: [{ ...added(1, 'order-1'), type: 'Removed' }] }),
          ).rejects.toMatchObject({ code: 'invalid-event' })
        })
      })
      test('a codec is told which event it is, when it encodes and when it decodes', async () => {
        const told: unknown[] = []
        const codec: Codec = {
          encode: (data, event) => (told.push(event), { data, of: event }),
          decode(stored, event) {
            expect({ ...(stored as { of: object }).of, encoded: true }).toEqual(event)
            return (stored as { data: unknown }).data
          },
        }
        await within({ codec }, async (store) => {
          await store.append({ stream: 'a', events: [added(1, 'order-1'), added(2)] })
          const ids: string[] = []
          for await (const { id, data } of store.read()) {
            expect(data).toEqual({ value: ids.length + 1 })
            ids.push(id)
          }
          expect(ids[0]).toBe('order-1')
          expect(told).toEqual(ids.map((id) => ({ type: 'Added', stream: 'a', id })))
        })
      })
      on('an import whose ids are those of other events is refused', async (store) => {
        await store.append({ stream: 'a', events: [added(1, 'order-1')] })
        const header = '{"tidemark":"export","format":1,"log":"x","after":0,"head":2}'
        const line = (position: number, id: string, change: object) =>
          JSON.stringify({
            position,
            type: 'Added',
            data: { value: 1 },
            stream: 'a',
            version: position,
            id,
            time: 0,
            ...change,
          })
        for (const change of [{ stream: 'b', version: 1 }, { type: 'Removed' }, { data: { value: 2 } }]) {
          await expect(
            importEvents(store, [header, line(1, 'order-1', change), line(2, 'order-2', {})]),
          ).rejects.toThrow(/order-1.*position 1/)
        }
        expect(await store.head()).toBe(1)
        expect(await importEvents(store, [header, line(1, 'order-1', {}), line(2, 'order-2', {})])).toMatchObject({
          imported: 1,
          skipped: 1,
        })
      })
      on('ids that begin like one another are each known', async (store) => {
        const stem = idOf(Date.UTC(2024, 0, 1)).slice(0, 13)
        for (const ids of [
          ['~', '~x', '~xy'],
          ['~a', '~ab'],
          [idOf(Date.UTC(2024, 0, 1)), `${stem}-foo`, `${stem}`],
        ]) {
          const events = ids.map((id, at) => added(at, id))
          await store.append({ stream: 'a', events })
          for (const event of events)
            expect(await store.append({ stream: 'a', events: [event] }), event.id).toMatchObject({ duplicate: true })
        }
      })
      on('the last events, again by the writer that just stored them', async (store) => {
        for (const id of [idOf(Date.UTC(2190, 0, 1)), idOf(Date.UTC(2190, 0, 2), 9)]) {
          await store.append({ stream: 'a', events: [added(1, id)] })
          expect(await store.append({ stream: 'a', events: [added(1, id)] })).toMatchObject({ duplicate: true })
        }
        const ids = [3, 1, 2].map((n) => idOf(Date.UTC(2191, 0, 1), n))
        await store.append({ stream: 'a', events: ids.map((id) => added(1, id)) })
        for (const id of ids)
          expect(await store.append({ stream: 'a', events: [added(1, id)] })).toMatchObject({ duplicate: true })
        expect(await store.head()).toBe(5)
      })
      for (const seed of [1, 2, 3])
        on(`ids of any time, in any order, made here or given, are each stored once (seed ${seed})`, async (store) => {
          const random = seededRandom(seed)
          const now = Date.now()
          const times = [now - 1000, now, now + 1, now + 1000, now + 86_400_000, now + 31_536_000_000, 2 ** 47]
          const ids: string[] = []
          for (let round = 0; round < 150; round += 1) {
            if (random() < 0.3) await store.append({ stream: 'a', events: [added(0)] })
            const known = random() < 0.4 && ids.length > 0
            const id = known
              ? (ids[Math.floor(random() * ids.length)] as string)
              : idOf(
                  (times[Math.floor(random() * times.length)] as number) + Math.floor(random() * 3),
                  Math.floor(random() * 50),
                )
            expect(
              (await store.append({ stream: 'a', events: [added('given', id)] })).duplicate,
              `${round} ${id}`,
            ).toBe(ids.includes(id))
            if (!ids.includes(id)) ids.push(id)
          }
          expect(
            (await all(store.read()))
              .filter(({ data }) => (data as { value: unknown }).value === 'given')
              .map(({ id }) => id),
          ).toEqual(ids)
        })
    })

    describe('code of the app that never ends', () => {
      const stuck = {
        schema: (value: any) => (value.value === 'stuck' ? never() : { value }),
        encode: (data: any) => (data.value === 'stuck' ? never() : data),
      }
      const kinds: [string, NonNullable<Parameters<Open>[0]>][] = [
        ['an asynchronous schema', { events: defineEvents({ Added: { schema: schemaOf(stuck.schema) } }) }],
        ['a codec', { codec: { encode: stuck.encode, decode: (stored) => stored } }],
      ]
      test.for(kinds)(
        '%s: other appends are stored, and close() rejects the append that waits',
        async ([, options]) => {
          const store = await open(options)
          const waiting = store.append({ stream: 'a', events: [added('stuck')] })
          const queued = [1, 2, 3].map((value) => store.append({ stream: 'a', events: [added(value)] }))
          const refused = expect(waiting).rejects.toMatchObject({ code: 'closed', outcome: 'not-written' })
          await Promise.all(queued)
          expect(await values(store)).toEqual([1, 2, 3])
          await store.close()
          await refused
        },
      )
      test.for(kinds)('%s: a signal ends the wait of its own append', async ([, options]) => {
        await within(options, async (store) => {
          const controller = new AbortController()
          const reason = new Error('enough')
          const waiting = store.append(
            { stream: 'a', events: [added('first'), added('stuck')] },
            { signal: controller.signal },
          )
          await store.append({ stream: 'a', events: [added('second')] })
          controller.abort(reason)
          await expect(waiting).rejects.toBe(reason)
          expect(await values(store)).toEqual(['second'])
        })
      })
      test('a decode: read, readStream and readPage end with the reason of their signal', async () => {
        const codec: Codec = { encode: (data) => data, decode: never }
        await within({ codec }, async (store) => {
          await store.append({ stream: 'a', events: [added()] })
          const reason = new Error('enough')
          const reads = [
            (signal: AbortSignal) => all(store.read({ signal })),
            (signal: AbortSignal) => all(store.readStream('a', { signal })),
            (signal: AbortSignal) => store.readPage({ limit: 1, signal }),
          ]
          for (const read of reads) {
            const controller = new AbortController()
            const reading = read(controller.signal)
            await new Promise((resolve) => setTimeout(resolve, 20))
            controller.abort(reason)
            await expect(reading).rejects.toBe(reason)
          }
        })
      })
      test.for<Codec['decode']>([() => undefined, async () => undefined])(
        'a decode that answers nothing: the event is unreadable',
        async (decode) => {
          await within({ codec: { encode: (data) => data, decode } }, async (store) => {
            await store.append({ stream: 'a', events: [added()] })
            const unreadable = {
              code: 'event-unreadable',
              position: 1,
              message: expect.stringContaining('decoding it returned undefined'),
            }
            await expect(all(store.read())).rejects.toMatchObject(unreadable)
            await expect(all(store.readStream('a'))).rejects.toMatchObject(unreadable)
          })
        },
      )
      on(
        'appends are stored in the order of their calls, large ones and those with a signal as well',
        async (store) => {
          const { signal } = new AbortController()
          const many = Array.from({ length: 3000 }, () => added('many'))
          const calls = [
            store.append({ stream: 'a', events: [added(1)] }),
            store.append({ stream: 'a', events: many }, { signal }),
            store.append({ stream: 'a', events: [added(2)] }, { signal }),
            store.append({ stream: 'a', events: many }),
            store.append({ stream: 'a', events: [added(3)] }),
          ]
          expect((await Promise.all(calls)).map(({ position }) => position)).toEqual([1, 3001, 3002, 6002, 6003])
        },
      )
      test('with a synchronous codec as well', async () => {
        await within({ codec: { encode: (data) => data, decode: (stored) => stored } }, async (store) => {
          const calls = [
            store.append({ stream: 'a', events: [added(1), added(2), added(3)] }),
            store.append({ stream: 'b', events: [added(4)] }),
          ]
          expect((await Promise.all(calls)).map(({ position }) => position)).toEqual([3, 4])
        })
      })
      test('an append whose schema is asynchronous takes its place when that is done', async () => {
        let release = () => {}
        const gate = new Promise<void>((resolve) => (release = resolve))
        await within(
          {
            events: defineEvents({
              Added: {
                schema: schemaOf((value) => (value.value === 'late' ? gate.then(() => ({ value })) : { value })),
              },
            }),
          },
          async (store) => {
            const late = store.append({ stream: 'a', events: [added('late')] })
            await store.append({ stream: 'a', events: [added('early')] })
            release()
            expect(await late).toMatchObject({ position: 2 })
            expect(await values(store)).toEqual(['early', 'late'])
          },
        )
      })
      on('an append that is aborted while it waits for its turn lets the others keep theirs', async (store) => {
        const controller = new AbortController()
        const first = store.append({ stream: 'a', events: Array.from({ length: 2000 }, () => added('many')) })
        const second = store.append({ stream: 'a', events: [added('never')] }, { signal: controller.signal })
        const third = store.append({ stream: 'a', events: [added('third')] })
        controller.abort(new Error('enough'))
        await expect(second).rejects.toThrow('enough')
        expect((await Promise.all([first, third])).map(({ position }) => position)).toEqual([2000, 2001])
      })
    })

    describe('events that are refused later', () => {
      const refusing = schemaOf(async () => ({ issues: [{ message: 'no' }] }))
      test('several by an asynchronous schema: one rejection, and no unhandled one', async () => {
        await within({ events: defineEvents({ Added: { schema: refusing } }) }, async (store) => {
          expect(
            await unhandledOf(() =>
              expect(store.append({ stream: 'a', events: [added(1), added(2), added(3)] })).rejects.toMatchObject({
                code: 'invalid-event',
                path: 'events[0].data',
              }),
            ),
          ).toEqual([])
        })
      })
      test('one by an asynchronous schema, and a later one at once', async () => {
        await within(
          {
            events: defineEvents({
              Added: { schema: refusing },
              Now: { schema: schemaOf(() => ({ issues: [{ message: 'no' }] })) },
            }),
          },
          async (store) => {
            expect(
              await unhandledOf(() =>
                expect(
                  store.append({ stream: 'a', events: [added(1), { type: 'Now', data: 1 }] }),
                ).rejects.toMatchObject({ code: 'invalid-event', path: 'events[1].data' }),
              ),
            ).toEqual([])
          },
        )
      })
      test('several by a codec', async () => {
        const codec: Codec = { encode: async () => Promise.reject(new Error('no key')), decode: (stored) => stored }
        await within({ codec }, async (store) => {
          expect(
            await unhandledOf(() =>
              expect(store.append({ stream: 'a', events: [added(1), added(2), added(3)] })).rejects.toThrow('no key'),
            ),
          ).toEqual([])
        })
      })
      on(
        'data, or a part of it, that is a promise: it is not waited for, and its rejection is no unhandled one',
        async (store) => {
          const late = () => Promise.reject(new Error('late'))
          expect(
            await unhandledOf(async () => {
              for (const [data, path] of [
                [late(), 'data'],
                [Promise.resolve(1), 'data'],
                [{ part: late() }, 'data.part'],
              ] as const) {
                await expect(
                  store.append({ stream: 'a', events: [{ type: 'Added', data: data as never }] }),
                ).rejects.toMatchObject({
                  code: 'invalid-event',
                  message: expect.stringContaining(`${path} is an instance of Promise`),
                })
              }
              await expect(
                store.append({ stream: 'a', events: [{ ...added(1), meta: late() }] }),
              ).rejects.toMatchObject({
                code: 'invalid-event',
                message: expect.stringContaining('meta is an instance of Promise'),
              })
              const { proxy, revoke } = Proxy.revocable({}, {})
              revoke()
              await expect(
                store.append({ stream: 'a', events: [{ type: 'Added', data: proxy as never }] }),
              ).rejects.toMatchObject({ code: 'invalid-event' })
            }),
          ).toEqual([])
          expect(await store.head()).toBe(0)
        },
      )
      test('while the append was aborted already', async () => {
        let refuse = (_error: Error) => {}
        const codec: Codec = { encode: () => new Promise((_, reject) => (refuse = reject)), decode: (stored) => stored }
        await within({ codec }, async (store) => {
          expect(
            await unhandledOf(async () => {
              const controller = new AbortController()
              const waiting = store.append({ stream: 'a', events: [added(1)] }, { signal: controller.signal })
              controller.abort(new Error('enough'))
              await expect(waiting).rejects.toThrow('enough')
              refuse(new Error('too late'))
            }),
          ).toEqual([])
        })
      })
    })

    describe('to one stream', () => {
      const on = (title: string, work: (store: TidemarkStore) => Promise<void>) =>
        test(title, () => within({}, (store) => work(store)))

      on('one event or several, as with writes', async (store) => {
        expect(await store.append(' a ', added(1))).toEqual({
          position: 1,
          firstPosition: 1,
          versions: { a: 1 },
          duplicate: false,
        })
        expect(await store.append('a', [added(2), added(3)], { durability: 'relaxed' })).toMatchObject({
          position: 3,
          firstPosition: 2,
          versions: { a: 3 },
        })
        expect(await values(store)).toEqual([1, 2, 3])
      })

      on('S2: the expected version is checked, also without events', async (store) => {
        await store.append('a', added(1), { expectedVersion: 'no-stream' })
        const conflict = { code: 'version-conflict', stream: 'a', actual: 1 }
        for (const expectedVersion of [0, 2, 'no-stream'] as const) {
          await expect(store.append('a', added(2), { expectedVersion })).rejects.toMatchObject(conflict)
          await expect(store.append('a', [], { expectedVersion })).rejects.toMatchObject(conflict)
        }
        await store.append('a', added(2), { expectedVersion: 1 })
        // Without `exactOptionalPropertyTypes` this compiles, and says nothing.
        await store.append({ stream: 'b', events: [added(1)] }, { expectedVersion: undefined } as object)
        expect(await values(store)).toEqual([1, 2, 1])
      })

      on('a condition looks at the whole log unless it says after which position', async (store) => {
        await store.append('a', added(1))
        const condition = { failIfEventsMatch: { streamPrefix: 'a' } }
        const failed = { code: 'condition-failed', position: 1 }
        await expect(store.append('b', added(2), { condition })).rejects.toMatchObject(failed)
        await expect(store.append({ stream: 'b', events: [added(2)] }, { condition })).rejects.toMatchObject(failed)
        await store.append('b', added(2), { condition: { ...condition, after: 1 } })
        expect(await values(store)).toEqual([1, 2])
      })

      test.for<[string, unknown, string]>([
        ['one event', { type: 'Added', data: { value: 1n } }, 'event.data.value'],
        ['several', [added(1), added(Number.NaN)], 'events[1].data.value'],
        ['no event', undefined, 'event'],
        ['a hole', Array.from({ length: 1 }), 'events[0]'],
      ])('what is wrong with %s is named', ([, events, path]) =>
        within({}, async (store) => {
          await expect(store.append('a', events as never)).rejects.toMatchObject({ code: 'invalid-event', path })
          expect(await store.head()).toBe(0)
        }),
      )

      on('V1: the name of the stream is checked', async (store) => {
        await expect(store.append('a*', added())).rejects.toMatchObject({ code: 'invalid-name' })
        await expect(store.append('', added())).rejects.toMatchObject({ code: 'invalid-name' })
      })
    })

    describe('options', () => {
      const bad: [string, (store: TidemarkStore) => unknown][] = [
        [
          'durability',
          (store) => store.append({ stream: 'a', events: [added()] }, { durability: 'Strict' as 'strict' }),
        ],
        ['durabilty', (store) => store.append({ stream: 'a', events: [added()] }, { durabilty: 'strict' } as object)],
        ['condition', (store) => store.append({ stream: 'a', events: [added()] }, { condition: null as never })],
        [
          'afer',
          (store) =>
            store.append(
              { stream: 'a', events: [added()] },
              { condition: { failIfEventsMatch: {}, after: 0, afer: 1 } as never },
            ),
        ],
        [
          'after',
          (store) =>
            store.append(
              { stream: 'a', events: [added()] },
              { condition: { failIfEventsMatch: {}, after: null } as never },
            ),
        ],
        [
          'condition.failIfEventsMatch',
          (store) => store.append({ stream: 'a', events: [added()] }, { condition: { after: 0 } as never }),
        ],
        [
          'failIfEventsMach',
          (store) => store.append('a', [], { condition: { failIfEventsMatch: {}, failIfEventsMach: {} } as never }),
        ],
        ['condition', (store) => store.append('a', [], { condition: null as never })],
        ['expectedVersion', (store) => store.append([], { expectedVersion: 0 } as never)],
        ['expectedVersion', (store) => store.append('a', [], { expectedVersion: -1 })],
        ['expectedVersion', (store) => store.append('a', [], { expectedVersion: 'new' as never })],
        ['expectedVerion', (store) => store.append('a', added(), { expectedVerion: 7 } as never)],
        ['options', (store) => store.append('a', added(), null as never)],
        [
          'types',
          (store) =>
            store.append(
              { stream: 'a', events: [added()] },
              { condition: { failIfEventsMatch: { types: 'Added' }, after: 0 } as never },
            ),
        ],
        [
          'signal',
          (store) => store.append({ stream: 'a', events: [added()] }, { signal: new AbortController() as never }),
        ],
        ['options', (store) => store.append({ stream: 'a', events: [added()] }, 'strict' as never)],
        ['options', (store) => store.append({ stream: 'a', events: [added()] }, null as never)],
        ['expectedVerion', (store) => store.append({ stream: 'a', events: [added()], expectedVerion: 7 } as never)],
        ['limt', (store) => store.readStream('a', { limt: 1 } as object)],
        ['signal', (store) => store.readStream('a', { signal: 1 as never })],
        ['fliter', (store) => store.read({ fliter: {} } as object)],
        ['limits', (store) => store.read({ limits: 1 } as object)],
        ['limit', (store) => store.read({ limit: -1 })],
        ['direction', (store) => store.read({ direction: 'prev' as 'backwards' })],
        ['direction', (store) => store.readStream('a', { direction: null as never })],
        ['options', (store) => store.read(null as never)],
        ['before', (store) => store.follow({ before: 3 } as object)],
        ['after', (store) => store.follow({ after: -1 })],
        ['tipes', (store) => store.follow({ filter: { tipes: [] } as object })],
        ['signal', (store) => store.follow({ signal: {} as never })],
        ['afer', (store) => store.readPage({ limit: 1, afer: 1 } as never)],
        ['request', (store) => store.readPage(undefined as never)],
        ['request', (store) => store.readPage(5 as never)],
        ['sginal', (store) => store.readPage({ limit: 1, sginal: 1 } as never)],
        ['signal', (store) => store.readPage({ limit: 1, signal: {} as never })],
        ['listener', (store) => store.subscribe(7 as never)],
        ['sginal', (store) => store.coordinator.acquire('p', { sginal: 1 } as object)],
        ['signal', (store) => store.coordinator.acquire('p', { signal: new AbortController() as never })],
        ['expcted', (store) => store.checkpoints.save('p', 1, { expcted: 0 } as object)],
      ]
      on('that there are none of, or of the wrong kind, are refused by name, and nothing is stored', async (store) => {
        for (const [what, call] of bad) {
          const failing = (async () => call(store))()
          await expect(failing, what).rejects.toMatchObject({
            code: 'invalid-argument',
            outcome: 'not-written',
            message: expect.stringContaining(what),
          })
        }
        expect(await store.head()).toBe(0)
        expect(await store.checkpoints.load('p')).toBeUndefined()
      })
      on('that are not enumerable, as state libraries keep their notes, do not count', async (store) => {
        const observed = <T extends object>(value: T): T =>
          Object.defineProperty(Object.defineProperty(value, Symbol('administration'), { value: 1 }), 'hidden', {
            value: 1,
          })
        await store.append(
          observed({ stream: 'a', events: [added()] }),
          observed({
            durability: 'strict',
            condition: observed({ failIfEventsMatch: observed({ types: ['No'] }), after: 0 }),
          }) as object,
        )
        expect(await all(store.read(observed({ after: 0 })))).toHaveLength(1)
        expect((await store.readPage(observed({ filter: observed({}), limit: 5 }))).events).toHaveLength(1)
        for (const options of [{ [Symbol('own')]: 1 }, { hidden: 1 }])
          await expect(store.append({ stream: 'a', events: [added()] }, options as object)).rejects.toMatchObject({
            code: 'invalid-argument',
          })
      })
      test.for([
        ['durabilty', { durabilty: 'strict' }],
        ['durability', { durability: 'Strict' }],
        ['codec', { codec: { encode: () => 1 } }],
        ['codec', { codec: null }],
        ['schema', { schema: {} }],
      ] as [string, object][])('of openEventStore: %s', async ([what, options]) => {
        await expect(open(options)).rejects.toMatchObject({
          code: 'invalid-argument',
          message: expect.stringContaining(what),
        })
      })
      on('that are there and undefined count as absent', async (store) => {
        await store.append(
          { stream: 'a', events: [added()], expectedVersion: undefined } as never,
          { durability: undefined, condition: undefined, signal: undefined } as object,
        )
        expect(
          await all(store.readStream('a', { after: undefined, limit: undefined, signal: undefined } as object)),
        ).toHaveLength(1)
        expect(
          await all(store.read({ after: undefined, filter: undefined, signal: undefined } as object)),
        ).toHaveLength(1)
        expect(
          (await store.readPage({ filter: undefined, after: undefined, limit: 5, signal: undefined } as never)).events,
        ).toHaveLength(1)
      })
    })

    describe('large appends', () => {
      on('what is in lists and events is read at once, and small appends altogether', async (store) => {
        const small = [added('one'), added('two')]
        const large = Array.from({ length: 5000 }, (_, at) => added(at, `id-${at}`))
        const calls = [store.append({ stream: 'a', events: small }), store.append({ stream: 'b', events: large })]
        ;(small[0] as { data: { value: unknown } }).data.value = 'changed'
        small.length = 0
        for (const event of large) Object.assign(event, { type: 'Changed', data: { value: 'changed' }, id: 'changed' })
        large.length = 0
        expect((await Promise.all(calls)).map(({ position }) => position)).toEqual([2, 5002])
        const events = await all(store.read())
        expect(events.slice(0, 3).map(({ data }) => data)).toEqual([{ value: 'one' }, { value: 'two' }, { value: 0 }])
        expect(
          events
            .slice(2)
            .every(
              ({ type, data, id }, at) =>
                type === 'Added' && (data as { value: number }).value === at && id === `id-${at}`,
            ),
        ).toBe(true)
      })
      on('a refused event anywhere in one refuses all of it', async (store) => {
        const events = Array.from({ length: 5000 }, (_, at) => added(at === 4321 ? new Date() : at))
        expect(
          await unhandledOf(() =>
            expect(store.append({ stream: 'a', events })).rejects.toMatchObject({
              code: 'invalid-event',
              path: 'events[4321].data.value',
            }),
          ),
        ).toEqual([])
        expect(await store.head()).toBe(0)
      })
      on('again, it is the first result', async (store) => {
        const writes = Array.from({ length: 700 }, (_, at) => ({
          stream: `s-${at % 300}`,
          events: [added(at, `id-${at}`)],
        }))
        const first = await store.append(writes)
        expect(await store.append(writes)).toEqual({ ...first, duplicate: true })
        expect(first).toMatchObject({ firstPosition: 1, position: 700, versions: { 's-0': 3, 's-99': 3, 's-100': 2 } })
      })
      on('is seen by readers as a whole', async (store) => {
        const heads = new Set<number>()
        const appending = store.append({ stream: 'a', events: Array.from({ length: 20_000 }, (_, at) => added(at)) })
        let done = false
        void appending.finally(() => (done = true))
        while (!done) {
          const [head, version, page] = [
            await store.head(),
            await store.streamVersion('a'),
            await store.readPage({ limit: 30_000 }),
          ]
          heads.add(head).add(version).add(page.head)
          await new Promise((resolve) => setTimeout(resolve, 0))
        }
        expect([...heads].filter((head) => head !== 0 && head !== 20_000)).toEqual([])
        expect(await store.streamVersion('a')).toBe(20_000)
      })
    })
  })
}
