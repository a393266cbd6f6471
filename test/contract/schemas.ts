/** What schemas mean: creators take their input, plain events and rows are their output, and nothing goes through one twice. */
import { describe, expect, test } from 'vitest'
import {
  defineCommand,
  defineEvents,
  defineProjection,
  execute,
  exportEvents,
  importEvents,
  openReadModel,
  runProjection,
  table,
  type EventCatalogue,
  type EventShape,
  type ProjectionSpec,
  type StandardSchema,
  type Tables,
  type TidemarkStore,
} from 'tidemark'
import { z } from 'zod'

export interface SchemaBackend {
  readonly name: string
  open<E extends EventShape>(name: string, events: EventCatalogue<E>): Promise<TidemarkStore<E>>
}

let count = 0
const newName = () => `schemas-${(count += 1)}-${Math.random()}`

const events = defineEvents({
  Paid: { schema: z.number().transform((euro) => euro * 100) },
  Counted: { schema: z.string().transform(Number) },
  Ordered: {
    schema: z.object({ price: z.number().transform((euro) => euro * 100), note: z.string().trim().default('none') }),
  },
  Noted: { schema: z.object({ text: z.string().trim(), stars: z.number().default(0) }) },
  Kept: { schema: z.looseObject({ when: z.union([z.string(), z.date().transform((date) => date.toISOString())]) }) },
  Dated: { schema: z.object({ when: z.date() as z.ZodType as z.ZodType<string> }) },
  // Asynchronous.
  Late: { schema: z.string().transform(async (text) => text.trim()) },
  LateDouble: { schema: z.number().transform(async (n) => n * 2) },
})
const made = () => [
  events.Paid(12),
  events.Counted('7'),
  events.Ordered({ price: 3 }),
  events.Noted({ text: ' good ' }),
  events.Kept({ when: new Date(0) }),
]
const stored = [1200, 7, { price: 300, note: 'none' }, { text: 'good', stars: 0 }, { when: '1970-01-01T00:00:00.000Z' }]

/** What becomes of an event on its way to `append`. */
const ways: Record<
  string,
  (list: ReturnType<typeof made>) => ReturnType<typeof made> | Promise<ReturnType<typeof made>>
> = {
  'as they are': (list) => list,
  'as copies of structured clone': (list) => structuredClone(list),
  'as JSON': (list) => JSON.parse(JSON.stringify(list)) as typeof list,
  'spread into others, with meta': (list) => list.map((event) => ({ ...event, meta: { user: 'u' } })),
  'with data taken out and put back': (list) =>
    list.map((event) => ({ ...event, data: structuredClone(event.data) }) as typeof event),
  posted: (list) =>
    new Promise((resolve) => {
      const { port1, port2 } = new MessageChannel()
      port2.onmessage = ({ data }) => {
        port1.close()
        resolve(data as typeof list)
      }
      port1.postMessage(list)
    }),
  frozen: (list) => list.map((event) => Object.freeze(event)),
}

export function schemaContract({ name, open }: SchemaBackend): void {
  const opened = (store = newName()) => open(store, events)
  const dataOf = async (store: TidemarkStore<never>) => {
    const found: unknown[] = []
    for await (const event of store.read()) found.push((event as { data: unknown }).data)
    return found
  }

  describe(`schemas of events: ${name}`, () => {
    test.for(Object.entries(ways))('what creators made is stored as they made it, once: %s', async ([, way]) => {
      const store = await opened()
      const list = await way(made())
      const first = await store.append({ stream: 's', events: list })
      expect(await dataOf(store as never)).toEqual(stored)
      // Appended again, and once more as another copy.
      expect(await store.append({ stream: 's', events: list })).toEqual({ ...first, duplicate: true })
      expect(await store.append({ stream: 's', events: structuredClone(list) })).toEqual({ ...first, duplicate: true })
      for await (const event of store.readStream('s')) expect(event).not.toHaveProperty('checked')
      await store.close()
    })

    test('a copy that was kept over a reload is accepted by the next store, and refused by a next version of its type', async () => {
      const kept = JSON.stringify(events.Paid(12))
      const store = await opened()
      await store.append({ stream: 's', events: [JSON.parse(kept)] })
      expect(await dataOf(store as never)).toEqual([1200])
      await store.close()
      for (const schema of [{}, { schema: z.number() }, { schema: z.number().transform((euro) => euro * 100) }]) {
        const next = await open(
          newName(),
          defineEvents({ Paid: { ...schema, version: 2, upcast: { 1: (data) => data } } }),
        )
        await expect(next.append({ stream: 's', events: [JSON.parse(kept)] })).rejects.toMatchObject({
          code: 'invalid-event',
          outcome: 'not-written',
          path: 'events[0].data',
          message: expect.stringContaining('Make the event again with events.Paid'),
        })
        expect(await next.head()).toBe(0)
        await next.close()
      }
    })

    test('data that was changed after its creator checked it is refused; under another type, too', async () => {
      const store = await opened()
      const event = events.Ordered({ price: 3 })
      for (const [changed, path] of [
        [{ ...event, data: { ...event.data, price: 301 } }, 'events[1].data'],
        [{ ...event, type: 'Noted' }, 'events[1].data'],
        [{ ...events.Paid(12), data: 1300 }, 'events[1].data'],
        [{ ...events.Paid(12), type: 'Counted' }, 'events[1].data'],
        [{ ...event, data: { ...event.data, when: new Date(0) } }, 'events[1].data.when'],
        [{ ...event, checked: 'yes' }, 'events[1].data'],
        [{ ...event, checked: 1 }, 'events[1].data'],
      ] as const) {
        await expect(store.append({ stream: 's', events: [events.Paid(1), changed as never] })).rejects.toMatchObject({
          code: 'invalid-event',
          outcome: 'not-written',
          path,
        })
      }
      expect(await store.head()).toBe(0)
      await store.close()
    })

    test('plain events have data as it is stored, which the schema tidies', async () => {
      const store = await opened()
      const plain = [
        { type: 'Noted', data: { text: ' good ', stars: 5, extra: true } },
        { type: 'Kept', data: { when: 'today' } },
        { type: 'Late', data: ' late ' },
        { type: 'Paid', data: 0 },
      ] as const
      await store.append({ stream: 's', events: plain as never })
      const data = [{ text: 'good', stars: 5 }, { when: 'today' }, 'late', 0]
      expect(await dataOf(store as never)).toEqual(data)
      // What was stored is plain data, too.
      for await (const { type, data } of store.read())
        if (type !== 'Paid') await store.append({ stream: 'again', events: [{ type, data } as never] })
      expect((await dataOf(store as never)).slice(4)).toEqual(data.slice(0, 3))
      await store.close()
    })

    test('a plain event that its schema would change once more is refused, and nothing of the append is stored', async () => {
      const store = await opened()
      for (const [event, text] of [
        [{ type: 'Paid', data: 12 }, 'events.Paid(…)'],
        [{ type: 'Counted', data: '7' }, 'events.Counted(…)'],
        [{ type: 'Counted', data: 7 }, 'events.Counted(…)'],
        [{ type: 'Ordered', data: { price: 1, note: 'x' } }, 'events.Ordered(…)'],
        [{ type: 'LateDouble', data: 2 }, 'asynchronous'],
      ] as const) {
        await expect(
          store.append([
            { stream: 's', events: [events.Paid(1)] },
            { stream: 't', events: [event as never] },
          ]),
        ).rejects.toMatchObject({
          code: 'invalid-event',
          outcome: 'not-written',
          path: 'writes[1].events[0].data',
          message: expect.stringContaining(text),
        })
      }
      await expect(
        store.append({ stream: 's', events: [{ type: 'Dated', data: { when: new Date(0) as never } }] }),
      ).rejects.toMatchObject({ code: 'invalid-event', path: 'events[0].data.when' })
      expect(() => events.Dated({ when: new Date(0) as never })).toThrow(/^data\.when is an instance of Date/)
      expect(await store.head()).toBe(0)
      await store.close()
    })

    test('a command may decide events of creators, and their copies', async () => {
      const store = await opened()
      const pay = defineCommand(events, (euro: number) => ({
        streams: ['s'],
        initial: 0,
        evolve: (sum: number) => sum + 1,
        decide: () => [{ ...events.Paid(euro), stream: 's' }, structuredClone({ ...events.Counted('7'), stream: 's' })],
      }))
      expect(await execute(store, pay(12))).toMatchObject({ type: 'accepted', position: 2 })
      expect(await dataOf(store as never)).toEqual([1200, 7])
      await expect(
        execute(store, { ...pay(1), decide: () => [{ type: 'Paid', data: 12, stream: 's' }] }),
      ).rejects.toMatchObject({ code: 'invalid-event' })
      expect(await store.head()).toBe(2)
      await store.close()
    })

    test('an import stores what was stored, without a schema', async () => {
      const store = await opened()
      await store.append({ stream: 's', events: made() })
      const lines: string[] = []
      for await (const line of exportEvents(store)) lines.push(line)
      expect(lines.join('')).not.toContain('checked')
      const copy = await opened()
      await importEvents(copy, lines)
      expect(await dataOf(copy as never)).toEqual(stored)
      await copy.close()
      await store.close()
    })
  })

  describe(`schemas of rows: ${name}`, () => {
    const source = defineEvents<{ type: 'Put' | 'Same' | 'Fold'; data: unknown }>()
    const projected = async <Row>(
      schema: StandardSchema<unknown, Row>,
      data: readonly EventShape[],
      how: 'on' | 'fold' = 'on',
    ) => {
      const store = await open(newName(), source)
      await store.append({ stream: 's', events: data as never })
      const definition = defineProjection(source, {
        name: 'rows',
        tables: { rows: { key: 'id', schema } } as Tables,
        ...(how === 'fold'
          ? {
              fold: {
                rows: {
                  key: () => 'a',
                  evolve: (row: unknown, event: { data: unknown }) => ({ ...((event.data ?? row) as object) }),
                },
              },
            }
          : {
              on: {
                Put: ({ data }: { data: unknown }, { rows }: { rows: { put(row: unknown): void } }) => rows.put(data),
                Same: (
                  _event: unknown,
                  { rows }: { rows: { update(key: string, change: (row: unknown) => unknown): Promise<void> } },
                ) => rows.update('a', (row) => row),
              } as never,
            }),
      })
      try {
        await runProjection(store, definition)
        const view = await openReadModel(store, definition)
        const rows = await (view['rows'] as unknown as { getAll(): Promise<unknown[]> }).getAll()
        await view.close()
        return rows
      } finally {
        await store.close()
      }
    }
    const put = (data: unknown) => ({ type: 'Put', data })
    const same = { type: 'Same', data: null }
    const tidy = z.object({ id: z.string().trim(), n: z.number().default(0), when: z.coerce.date().optional() })

    test('the row that is stored is the tidied one, however often it is put again', async () => {
      expect(await projected(tidy, [put({ id: ' a ', extra: 1 }), same, same])).toEqual([{ id: 'a', n: 0 }])
      expect(await projected(tidy, [put({ id: 'a', when: '2026-01-01' }), same])).toEqual([
        { id: 'a', n: 0, when: new Date('2026-01-01') },
      ])
      expect(
        await projected(
          tidy,
          [
            put({ id: 'a', n: 1 }),
            { type: 'Fold', data: null },
            put({ id: 'a', n: 2, when: '2026-01-01' }),
            { type: 'Fold', data: null },
          ],
          'fold',
        ),
      ).toEqual([{ id: 'a', n: 2, when: new Date('2026-01-01') }])
    })

    const cents = z.object({ id: z.string(), cents: z.number().transform((euro) => euro * 100) })
    const text = z.object({ id: z.string(), n: z.string().transform(Number) })
    const bytes = z.object({ id: z.string(), list: z.array(z.number()).transform((list) => new Map(list.entries())) })
    const inPlace: StandardSchema<unknown, unknown> = {
      '~standard': {
        version: 1,
        vendor: 'test',
        validate: (value) => ({ value: Object.assign(value as { n: number }, { n: (value as { n: number }).n * 2 }) }),
      },
    }
    const inside: StandardSchema<unknown, unknown> = {
      '~standard': {
        version: 1,
        vendor: 'test',
        validate(value) {
          const { of } = value as { of: { n: number } }
          of.n *= 2
          return { value: { ...(value as object) } }
        },
      },
    }
    test.for<[string, StandardSchema<unknown, unknown>, unknown]>([
      ['euros into cents', cents, { id: 'a', cents: 12 }],
      ['a string into a number', text, { id: 'a', n: '7' }],
      ['a list into a Map', bytes, { id: 'a', list: [1] }],
      ['in place', inPlace, { id: 'a', n: 1 }],
      ['in place, deep inside of a copy', inside, { id: 'a', of: { n: 1 } }],
    ])('a schema that changes its own output is refused, with its table: %s', async ([, schema, row]) => {
      for (const how of ['on', 'fold'] as const) {
        await expect(projected(schema, [put(row)], how)).rejects.toMatchObject({
          code: 'projection-failed',
          position: 1,
          cause: {
            code: 'invalid-argument',
            message: expect.stringMatching(/^tables\.rows\.schema changes its own output/),
          },
        })
      }
    })

    test('a row that is not changed by a schema of that kind is a row', async () => {
      expect(await projected(cents, [put({ id: 'a', cents: 0 }), same])).toEqual([{ id: 'a', cents: 0 }])
    })

    test.for([
      async () => ({ id: 'a' }),
      async () => {
        throw new Error('late')
      },
    ])('a fold, a change and a row that are promises are refused by name: %s', async (late) => {
      const store = await open(newName(), source)
      await store.append({ stream: 's', events: [put(1) as never] })
      const tables = { rows: table<{ id: string }>({ key: 'id' }) }
      const run = (definition: Partial<ProjectionSpec<EventShape, typeof tables>>) =>
        runProjection(
          store as never,
          defineProjection(source as EventCatalogue, { name: `late-${(count += 1)}`, tables, ...definition }),
        )
      const refused = (message: RegExp) => ({
        code: 'projection-failed',
        cause: { code: 'invalid-argument', message: expect.stringMatching(message) },
      })
      await expect(run({ fold: { rows: { key: () => 'a', evolve: late as never } } })).rejects.toMatchObject(
        refused(/^fold\.rows\.evolve returned a promise/),
      )
      await expect(run({ fold: { rows: { key: late as never, evolve: () => ({ id: 'a' }) } } })).rejects.toMatchObject(
        refused(/^The key of fold 'rows'/),
      )
      await expect(run({ on: { Put: (_event, { rows }) => rows.update('a', late as never) } })).rejects.toMatchObject(
        refused(/^A row of 'rows' is a promise/),
      )
      await expect(run({ on: { Put: (_event, { rows }) => rows.put(late() as never) } })).rejects.toMatchObject(
        refused(/^A row of 'rows' is a promise/),
      )
      await store.close()
    })

    test('what is not enumerable is not part of a row, and what is hidden under a symbol does not matter', async () => {
      const hidden = <T extends object>(row: T) =>
        Object.defineProperty(Object.defineProperty(row, Symbol('administration'), { value: () => 1 }), 'hidden', {
          value: () => 1,
        })
      const store = await open(newName(), source)
      await store.append({
        stream: 's',
        events: [
          { ...put(1), data: hidden({ a: 1, list: hidden([hidden({ b: 2 })]) }), meta: hidden({ by: 'u' }) } as never,
        ],
      })
      const definition = defineProjection(source, {
        name: 'hidden',
        tables: { rows: table<{ id: string; item: unknown; meta: unknown }>({ key: 'id' }) },
        on: { Put: ({ data, meta }, { rows }) => rows.put(hidden({ id: 'a', item: hidden(data as object), meta })) },
      })
      await runProjection(store, definition)
      const view = await openReadModel(store, definition)
      expect(await view.rows.getAll()).toEqual([{ id: 'a', item: { a: 1, list: [{ b: 2 }] }, meta: { by: 'u' } }])
      await view.close()
      await store.close()
    })

    test('a promise is not a row, and a schema must not be one', async () => {
      const late: StandardSchema<unknown, unknown> = {
        '~standard': { version: 1, vendor: 'test', validate: async () => Promise.reject(new Error('late')) },
      }
      await expect(projected(late, [put({ id: 'a' })])).rejects.toMatchObject({
        cause: { code: 'invalid-argument', message: expect.stringMatching(/^tables\.rows\.schema is asynchronous/) },
      })
    })
  })
}
