/** Unique indexes, and keys of several properties: which event is to blame, and that no row is lost. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  defineEvents,
  defineProjection,
  openReadModel,
  runProjection,
  startProjection,
  table,
  UniqueConflictError,
  verifyReadModel,
  type DeadLetter,
} from 'tidemark'
import { openEventStore as openMemory } from 'tidemark/memory'
import { newName, type Backend } from './model.js'

interface Person {
  readonly id: string
  readonly mail?: string
  readonly phones?: readonly number[]
  readonly team?: string
  readonly seat?: number
}
type Change = { readonly put: Person } | { readonly delete: string }
type Event = { type: 'Changed'; data: { changes: readonly Change[]; reads: boolean } }

const events = defineEvents<Event>()
const changed = (...changes: Change[]) => ({ type: 'Changed' as const, data: { changes, reads: false } })
const puts = (id: string, mail?: string, more: Partial<Person> = {}) =>
  changed({ put: { id, ...(mail !== undefined && { mail }), ...more } })

const people = (onFailure: 'park' | 'skip' | 'fatal' | 'park-stream' = 'park', version = 1) =>
  defineProjection(events, {
    name: 'people',
    version,
    tables: {
      people: table<Person>()({
        key: 'id',
        indexes: {
          byMail: { path: 'mail', unique: true },
          byPhone: { path: 'phones', multiEntry: true, unique: true },
          bySeat: { path: ['team', 'seat'], unique: true },
        },
      }),
    },
    on: {
      Changed: async ({ data }, { people: rows }) => {
        for (const change of data.changes) {
          if ('delete' in change) rows.delete(change.delete)
          else if (data.reads) await rows.update(change.put.id, () => change.put)
          else rows.put(change.put)
        }
      },
    },
    onFailure: () => onFailure,
  })

/** What every person claims for itself. */
const claimsOf = ({ mail, phones = [], team, seat }: Person): string[] => [
  ...(mail === undefined ? [] : [`mail ${mail}`]),
  ...new Set(phones.map((phone) => `phone ${phone}`)),
  ...(team === undefined || seat === undefined ? [] : [`seat ${team} ${seat}`]),
]

/** Events one after the other; returns which of them are refused. */
function fold(rows: Map<string, Person>, list: readonly Event[]): { rows: Map<string, Person>; refused: number[] } {
  const refused: number[] = []
  let now = rows
  for (const [at, { data }] of list.entries()) {
    const after = new Map(now)
    for (const change of data.changes) {
      if ('put' in change) after.set(change.put.id, change.put)
      else after.delete(change.delete)
    }
    const claims = [...after.values()].flatMap(claimsOf)
    if (new Set(claims).size === claims.length) now = after
    else refused.push(at + 1)
  }
  return { rows: now, refused }
}
const inOrder = (rows: Map<string, Person>) => [...rows.values()].sort((left, right) => (left.id < right.id ? -1 : 1))

const person: fc.Arbitrary<Person> = fc.record(
  {
    id: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
    mail: fc.constantFrom('x', 'y', 'z'),
    phones: fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 3 }),
    team: fc.constantFrom('red', 'blue'),
    seat: fc.integer({ min: 1, max: 2 }),
  },
  { requiredKeys: ['id'] },
)
const anyEvent: fc.Arbitrary<Event> = fc.record({
  type: fc.constant('Changed' as const),
  data: fc.record({
    changes: fc.array(
      fc.oneof(
        { weight: 4, arbitrary: person.map((put) => ({ put })) },
        { weight: 1, arbitrary: fc.constantFrom('a', 'b', 'c', 'd', 'e').map((id) => ({ delete: id })) },
      ),
      { minLength: 1, maxLength: 3 },
    ),
    reads: fc.boolean(),
  }),
})

export function uniqueContract({ name, open: openAny, shared, onDevice = shared }: Backend): void {
  const open = (named: string) => openAny(named) as unknown as Promise<Awaited<ReturnType<typeof openMemory<Event>>>>
  const isFake = name !== 'IndexedDB'
  /** Each question is a round trip. */
  const isRemote = shared && !onDevice
  const stored = async (store: Awaited<ReturnType<typeof open>>, definition = people()) => {
    const view = await openReadModel(store, definition)
    try {
      return await view.people.getAll()
    } finally {
      await view.close()
    }
  }
  const lettersOf = async (handle: { deadLetters(): AsyncIterable<DeadLetter> }) => {
    const letters: DeadLetter[] = []
    for await (const letter of handle.deadLetters()) letters.push(letter)
    return letters
  }

  describe(`unique indexes: ${name}`, () => {
    test(
      'any events, cut into commits anywhere: those fail that leave two rows with one key, and no other',
      { timeout: 240_000 },
      async () => {
        await fc.assert(
          fc.asyncProperty(
            fc.array(fc.record({ event: anyEvent, ends: fc.boolean() }), { minLength: 1, maxLength: 14 }),
            async (script) => {
              const store = await open(newName())
              for (const { event, ends } of script) {
                await store.append({ stream: 's', events: [event] })
                if (ends) await runProjection(store, people())
              }
              await runProjection(store, people())
              const expected = fold(
                new Map(),
                script.map(({ event }) => event),
              )
              expect(await stored(store)).toEqual(inOrder(expected.rows))
              const handle = startProjection(store, people())
              expect((await lettersOf(handle)).map(({ position }) => position)).toEqual(expected.refused)
              await handle.rebuild()
              expect(await stored(store)).toEqual(inOrder(expected.rows))
              expect((await lettersOf(handle)).map(({ position }) => position)).toEqual(expected.refused)
              await handle.stop()
              expect(await verifyReadModel(store, people())).toMatchObject({ ok: true })
              await store.close()
            },
          ),
          { seed: 20261129, numRuns: isFake && !isRemote ? 50 : 15 },
        )
      },
    )

    test('the error says which index, what is in it twice, and which row has it', async () => {
      const store = await open(newName())
      await store.append({ stream: 's', events: [puts('a', 'x'), puts('b', 'x')] })
      const failure = await runProjection(store, people('fatal')).catch((error: unknown) => error)
      expect(failure).toMatchObject({ code: 'projection-failed', position: 2 })
      const { cause } = failure as { cause: UniqueConflictError }
      expect(cause).toBeInstanceOf(UniqueConflictError)
      expect(cause).toMatchObject({
        code: 'unique-conflict',
        table: 'people',
        index: 'byMail',
        key: 'x',
        row: 'b',
        heldBy: 'a',
      })
      expect(await stored(store)).toEqual([{ id: 'a', mail: 'x' }])
      await store.close()
    })

    test('a value is freed by one event and taken by the next of the same commit; two rows swap theirs', async () => {
      const store = await open(newName())
      const list = [
        puts('a', 'x'),
        puts('a'),
        puts('b', 'x'),
        puts('a', 'y'),
        changed({ put: { id: 'a', mail: 'x' } }, { put: { id: 'b', mail: 'y' } }),
        changed({ put: { id: 'c', mail: 'x' } }, { delete: 'a' }),
      ]
      for (const parts of [[list], list.map((one) => [one])]) {
        const each = await open(newName())
        for (const part of parts) {
          await each.append({ stream: 's', events: part })
          expect(await runProjection(each, people('fatal'))).toMatchObject({ reason: 'caught-up' })
        }
        expect(await stored(each)).toEqual([
          { id: 'b', mail: 'y' },
          { id: 'c', mail: 'x' },
        ])
        await each.close()
      }
      await store.close()
    })

    test.for([
      ['in memory', 0],
      ['asked of the storage', 300],
    ] as const)(
      'a row that is taken back, as a row of another table is in conflict, holds nothing: %s',
      async ([, more]) => {
        const two = (version: number) => {
          const mails = table<Person>()({ key: 'id', indexes: { byMail: { path: 'mail', unique: true } } })
          return defineProjection(events, {
            name: 'two',
            version,
            tables: { left: mails, right: mails },
            on: {
              Changed: ({ data }, { left, right }) => {
                for (const change of data.changes) {
                  if ('delete' in change) continue
                  const { id, mail, team } = change.put
                  if (team === 'only left') left.put(change.put)
                  else for (const rows of [left, right]) rows.put({ id, ...(mail !== undefined && { mail }) })
                }
              },
            },
            onFailure: () => 'skip',
          })
        }
        const onlyLeft = (id: string, mail: string) => puts(id, mail, { team: 'only left' })
        const list = [
          puts('a', 'x'),
          onlyLeft('a', 'y'),
          // Free on the left, and not on the right.
          puts('b', 'x'),
          onlyLeft('c', 'x'),
          // On the left `c` would give 'x' away; on the right 'x' is taken.
          changed({ put: { id: 'c', mail: 'z' } }, { put: { id: 'd', mail: 'x' } }),
          onlyLeft('e', 'x'),
          onlyLeft('e', 'z'),
        ]
        const left = [
          { id: 'a', mail: 'y', team: 'only left' },
          { id: 'c', mail: 'x', team: 'only left' },
          { id: 'e', mail: 'z', team: 'only left' },
        ]
        const store = await open(newName())
        await store.append({
          stream: 's',
          events: [changed(...Array.from({ length: more }, (_, at) => ({ put: { id: `p${at}`, mail: `m${at}` } })))],
        })
        if (more > 0) await runProjection(store, two(1))
        await store.append({ stream: 's', events: list })
        await runProjection(store, two(1))
        const view = await openReadModel(store, two(1))
        expect(await view.left.getAll({ range: { upper: 'f' } })).toEqual(left)
        expect(await view.right.getAll({ range: { upper: 'f' } })).toEqual([{ id: 'a', mail: 'x' }])
        await view.close()
        await store.close()
      },
    )

    test('a dead letter is replayed once the value is free, and not before; one that takes it meanwhile is noticed', async () => {
      const store = await open(newName())
      await store.append({ stream: 's', events: [puts('a', 'x'), puts('b', 'x')] })
      const handle = startProjection(store, people())
      await handle.caughtUp(2, { timeout: 20_000 })
      const [letter] = await lettersOf(handle)
      await expect(letter?.replay()).rejects.toMatchObject({ code: 'unique-conflict', heldBy: 'a' })
      expect(await stored(store)).toEqual([{ id: 'a', mail: 'x' }])
      const { position } = await store.append({ stream: 's', events: [puts('a', 'y')] })
      await handle.caughtUp(position, { timeout: 20_000 })
      await letter?.replay()
      expect(await stored(store)).toEqual([
        { id: 'a', mail: 'y' },
        { id: 'b', mail: 'x' },
      ])
      const next = await store.append({ stream: 's', events: [puts('c', 'x')] })
      await handle.caughtUp(next.position, { timeout: 20_000 })
      expect((await lettersOf(handle)).map((one) => one.position)).toEqual([next.position])
      await handle.stop()
      await store.close()
    })

    test('a table of more rows than are remembered, by runs that remember none', { timeout: 240_000 }, async () => {
      const store = await open(newName())
      const many = 21_000
      const all = Array.from({ length: many / 100 }, (_, part) =>
        changed(
          ...Array.from({ length: 100 }, (_, at) => ({
            put: { id: `p${part * 100 + at}`, mail: `m${part * 100 + at}`, phones: [part * 100 + at] },
          })),
        ),
      )
      await store.append({
        stream: 's',
        // Of the first rows nothing is in the cache any more: one is taken, one is freed and then taken.
        events: [...all, puts('late', 'm5'), puts('p0'), puts('late', 'm0'), puts('later', 'm0'), puts('p0', 'm0')],
      })
      await runProjection(store, people('skip'))
      // More single events than after which a table is read as a whole, half of them with a value that is taken.
      await store.append({
        stream: 's',
        events: Array.from({ length: 40 }, (_, at) => puts(`q${at}`, `m${at % 2 === 0 ? at * 100 : many + at}`)),
      })
      await runProjection(store, people('skip'))
      const view = await openReadModel(store, people())
      expect([await view.people.count(), await view.people.count({ index: 'byMail' })]).toEqual([many + 21, many + 20])
      expect(await view.people.getAll({ index: 'byMail', ranges: ['m0', 'm5'] })).toEqual([
        { id: 'late', mail: 'm0' },
        { id: 'p5', mail: 'm5', phones: [5] },
      ])
      expect(await view.people.get('p0')).toEqual({ id: 'p0' })
      await view.close()
      await store.close()
    })
  })

  describe(`keys of several properties: ${name}`, () => {
    interface Line {
      readonly basket: string
      readonly sku: number
      readonly n: number
      readonly at?: Date
    }
    const lines = () =>
      defineProjection(events, {
        name: 'lines',
        tables: {
          packed: table<Line>({ key: ['basket', 'sku'] }),
          indexed: table<Line>()({ key: ['basket', 'sku'], indexes: { byN: 'n' } }),
        },
        on: {
          Changed: async ({ data }, { packed, indexed }) => {
            for (const change of data.changes) {
              const id = 'put' in change ? change.put.id : change.delete
              const [basket, sku] = [id.slice(0, 1), Number(id.slice(1))]
              for (const rows of [packed, indexed]) {
                if ('delete' in change) rows.delete([basket, sku])
                else await rows.update([basket, sku], (row) => ({ basket, sku, n: (row?.n ?? 0) + 1 }))
              }
            }
          },
        },
      })
    const key = fc
      .tuple(fc.constantFrom('a', 'b', 'c'), fc.integer({ min: 0, max: 300 }))
      .map(([basket, sku]) => basket + sku)

    test(
      'any rows: found by the list of their properties, in its order, in packs and in records',
      { timeout: 240_000 },
      async () => {
        await fc.assert(
          fc.asyncProperty(
            fc.array(
              fc.record({
                keys: fc.array(fc.tuple(key, fc.boolean()), { minLength: 1, maxLength: 120, size: 'max' }),
                ends: fc.boolean(),
              }),
              { minLength: 1, maxLength: 6 },
            ),
            async (script) => {
              const store = await open(newName())
              const model = new Map<string, Line>()
              for (const { keys, ends } of script) {
                await store.append({
                  stream: 's',
                  events: [changed(...keys.map(([id, puts]) => (puts ? { put: { id } } : { delete: id })))],
                })
                for (const [id, isPut] of keys) {
                  const [basket, sku] = [id.slice(0, 1), Number(id.slice(1))]
                  if (isPut) model.set(id, { basket, sku, n: (model.get(id)?.n ?? 0) + 1 })
                  else model.delete(id)
                }
                if (ends) await runProjection(store, lines())
              }
              await runProjection(store, lines())
              const expected = [...model.values()].sort(
                (left, right) =>
                  (left.basket < right.basket ? -1 : left.basket > right.basket ? 1 : 0) || left.sku - right.sku,
              )
              const view = await openReadModel(store, lines())
              for (const rows of [view.packed, view.indexed]) {
                expect(await rows.getAll()).toEqual(expected)
                expect(await rows.getAll({ direction: 'prev', limit: 7 })).toEqual(expected.toReversed().slice(0, 7))
                expect(await rows.count()).toBe(expected.length)
                const ofB = expected.filter(({ basket }) => basket === 'b')
                const range = { lower: ['b'], upper: ['b', []] } as const
                expect(await rows.getAll({ range })).toEqual(ofB)
                expect(await rows.count({ range })).toBe(ofB.length)
                const page = ofB.slice(0, 3)
                expect(await rows.getAll({ range, limit: 3 })).toEqual(page)
                const last = page.at(-1)
                if (last !== undefined) expect(await rows.getAll({ range, after: last })).toEqual(ofB.slice(3))
                const some = expected[expected.length >> 1]
                if (some !== undefined) {
                  expect(await rows.get([some.basket, some.sku])).toEqual(some)
                  expect(
                    await rows.getMany([
                      ['z', 0],
                      [some.basket, some.sku],
                    ]),
                  ).toEqual([undefined, some])
                }
              }
              const tied = [...expected].sort((left, right) => left.n - right.n)
              const paged: Line[] = []
              for (let after: Line | undefined; ;) {
                const page = await view.indexed.getAll({ index: 'byN', limit: 5, ...(after && { after }) })
                paged.push(...page)
                after = page.at(-1)
                if (page.length < 5) break
              }
              expect(paged).toEqual(tied)
              expect(await verifyReadModel(store, lines())).toMatchObject({ ok: true, rows: expected.length * 2 })
              await view.close()
              await store.close()
            },
          ),
          { seed: 20261129, numRuns: isFake && !isRemote ? 25 : 8 },
        )
      },
    )

    test.for<[string, unknown]>([
      ['a single value', 'a'],
      ['a number', 1],
      ['too short a list', ['a']],
      ['too long a list', ['a', 1, 2]],
      ['a list with a hole', ['a', ,]],
      ['a list with null', ['a', null]],
      ['a list within a list', ['a', ['b']]],
      ['a list with NaN', ['a', Number.NaN]],
      ['a list with Infinity', ['a', Infinity]],
      ['nothing', undefined],
    ])('%s is no key of such a table', async ([, bad]) => {
      const store = await open(newName())
      const view = await openReadModel(store, lines())
      for (const rows of [view.packed, view.indexed]) {
        await expect(rows.get(bad as never)).rejects.toMatchObject({ code: 'invalid-argument' })
        await expect(rows.getMany([bad as never])).rejects.toMatchObject({ code: 'invalid-argument' })
      }
      await view.close()
      await store.close()
    })

    test('a list is no key of a table with one property for it, and a row needs each of several', async () => {
      const store = await open(newName())
      await store.append({ stream: 's', events: [puts('a', 'x')] })
      const view = await openReadModel(store, people())
      await expect(view.people.get(['a', 'x'])).rejects.toMatchObject({ code: 'invalid-argument' })
      await view.close()
      const lacking = defineProjection(events, {
        name: 'lacking',
        tables: { rows: table<Line>({ key: ['basket', 'sku'] }) },
        on: { Changed: (_event, { rows }) => rows.put({ basket: 'a', n: 1 } as Line) },
      })
      await expect(runProjection(store, lacking)).rejects.toMatchObject({
        cause: { code: 'invalid-argument', message: expect.stringContaining('basket, sku') },
      })
      await store.close()
    })
  })
}
