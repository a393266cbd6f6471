/** What handlers ask of their tables by range: stored rows with this commit's changes laid over, against a naive model. */
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { defineProjection, openReadModel, runProjection, startProjection, table, type TableWriter } from 'tidemark'
import { added, events, newName, type Backend } from './model.js'
import { anyRow, indexes, span, unchecked, walked, type Index, type Row, type Span } from './selections-model.js'

interface Ask {
  readonly index?: Index
  readonly ranges?: readonly Span[]
  readonly direction?: 'next' | 'prev'
  readonly limit?: number
  readonly follow?: boolean
}
type Step =
  | { readonly put: Row }
  | { readonly delete: number }
  | { readonly ask: Ask }
  | { readonly many: readonly number[] }
  | 'fail'

const id = fc.integer({ min: 0, max: 12 })
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(id, anyRow).map(([id, row]) => ({ put: { ...row, id } })) },
  { weight: 2, arbitrary: id.map((key) => ({ delete: key })) },
  {
    weight: 5,
    arbitrary: fc
      .record(
        {
          index: fc.constantFrom(...(Object.keys(indexes) as Index[])),
          ranges: fc.array(span, { maxLength: 3 }),
          direction: fc.constantFrom<'next' | 'prev'>('next', 'prev'),
          limit: fc.integer({ min: 1, max: 5 }),
          follow: fc.boolean(),
        },
        { requiredKeys: [] },
      )
      .map((ask) => ({ ask })),
  },
  { weight: 1, arbitrary: fc.array(id, { maxLength: 5 }).map((many) => ({ many })) },
  { weight: 1, arbitrary: fc.constant<Step>('fail') },
)

/** For a table that has none. */
function withoutIndex(one: Step): Step {
  if (one === 'fail' || !('ask' in one)) return one
  const { index: _, ...ask } = one.ask
  return { ask }
}

/** Does the steps of one event to rows. */
interface Doing {
  put(row: Row): void
  delete(key: number): void
  all(ask: Ask, after?: Row): Promise<readonly Row[]> | readonly Row[]
  many(keys: readonly number[]): Promise<readonly unknown[]> | readonly unknown[]
}
async function perform(steps: readonly Step[], { put, delete: remove, all, many }: Doing): Promise<unknown[]> {
  const seen: unknown[] = []
  for (const one of steps) {
    if (one === 'fail') throw new Error('wanted')
    if ('put' in one) put(one.put)
    else if ('delete' in one) remove(one.delete)
    else if ('many' in one) seen.push(await many(one.many))
    else {
      const page = await all(one.ask)
      seen.push(page)
      const last = page.at(-1)
      if (one.ask.follow === true && last !== undefined) seen.push(await all(one.ask, last))
    }
  }
  return seen
}

/** Rows in a map. */
const onMap = (rows: Map<number, Row>): Doing => ({
  put: (row) => void rows.set(row.id, row),
  delete: (key) => void rows.delete(key),
  many: (keys) => keys.map((key) => rows.get(key)),
  all({ index, ranges, direction, limit = Infinity }, after) {
    const found = walked([...rows.values()], index, ranges, direction === 'prev')
    const from = after === undefined ? 0 : found.findIndex((row) => row.id === after.id) + 1
    return found.slice(from, from + limit)
  },
})
const onTable = (rows: TableWriter<Row>): Doing => ({
  put: (row) => rows.put(row),
  delete: (key) => rows.delete(key),
  many: (keys) => rows.getMany(keys),
  all: ({ follow: _, ...ask }, after) => rows.getAll({ ...ask, ...(after && { after }) }),
})

export function handlerQueriesContract({ name, open, shared, onDevice = shared }: Backend): void {
  const isFake = name !== 'IndexedDB'

  describe(`queries of handlers: ${name}`, () => {
    beforeEach(() => void vi.spyOn(console, 'warn').mockImplementation(() => {}))
    afterEach(() => void vi.restoreAllMocks())

    test(
      'any handlers, cut into commits anywhere: what they read is what the steps before them left',
      { timeout: 240_000 },
      async () => {
        await fc.assert(
          fc.asyncProperty(
            fc.array(fc.record({ steps: fc.array(step, { maxLength: 8 }), ends: fc.boolean() }), { maxLength: 12 }),
            fc.boolean(),
            async (given, indexed) => {
              const script = given.map(({ steps, ends }) => ({
                steps: indexed ? steps : steps.map(withoutIndex),
                ends,
              }))
              const store = await open(newName())
              const seen = new Map<number, unknown>()
              const definition = defineProjection(events, {
                name: 'asking',
                tables: { rows: unchecked<Row>(indexed ? { key: 'id', indexes } : { key: 'id', indexes: {} }) },
                on: {
                  Added: async ({ data }, { rows }) => {
                    seen.set(data.amount, await perform(script[data.amount]?.steps ?? [], onTable(rows)))
                  },
                },
                onFailure: () => 'skip',
              })
              let model = new Map<number, Row>()
              const expected = new Map<number, unknown>()
              for (const [at, one] of script.entries()) {
                if (!indexed) {
                  for (const each of one.steps)
                    if (each !== 'fail' && 'ask' in each) delete (each.ask as { index?: Index }).index
                }
                await store.append({ stream: 's', events: [added('a', at)] })
                const after = new Map(model)
                try {
                  expected.set(at, await perform(one.steps, onMap(after)))
                  model = after
                } catch {
                  // Nothing of it counts.
                }
                // A new run remembers nothing of the rows.
                if (one.ends) await runProjection(store, definition)
              }
              await runProjection(store, definition)
              expect(seen).toEqual(expected)
              const view = await openReadModel(store, definition)
              expect(await view.rows.getAll()).toEqual(walked([...model.values()], undefined, undefined, false))
              await view.close()
              await store.close()
            },
          ),
          { seed: 20261129, numRuns: shared && !onDevice ? 10 : isFake ? 60 : 25 },
        )
      },
    )

    const todos = (more: object = {}) =>
      defineProjection(events, {
        name: 'todos',
        tables: {
          todos: table<{ id: string; list: string; done: 0 | 1 }>()({
            key: 'id',
            indexes: { byList: 'list', byDone: 'done' },
          }),
        },
        on: {
          Added: async ({ data: { to, amount } }, { todos }) => {
            if (to === 'rename') {
              for (const todo of await todos.getAll({ index: 'byList', range: 'a' })) todos.put({ ...todo, list: 'b' })
            } else if (to === 'clear') {
              for (const { id } of await todos.getAll({ index: 'byDone', range: 1 })) todos.delete(id)
            } else todos.put({ id: to, list: amount < 10 ? 'a' : 'c', done: amount % 2 === 1 ? 1 : 0 })
          },
        },
        ...more,
      })
    const rowsOf = async (store: Awaited<ReturnType<typeof open>>) => {
      const view = await openReadModel(store, todos())
      const rows = (await view.todos.getAll()).map(({ id, list, done }) => `${id}${list}${done}`)
      await view.close()
      return rows
    }
    const history = [added('x', 1), added('y', 2), added('z', 11), added('rename', 0), added('w', 3), added('clear', 0)]

    test('a list is renamed and what is done is cleared, in one commit, in one for each event, and in a rebuild', async () => {
      const store = await open(newName())
      for (const event of history) {
        await store.append({ stream: 's', events: [event] })
        await runProjection(store, todos())
      }
      expect(await rowsOf(store)).toEqual(['yb0'])
      const running = startProjection(store, todos())
      await running.rebuild()
      expect(await rowsOf(store)).toEqual(['yb0'])
      await running.stop()
      const other = await open(newName())
      await other.append({ stream: 's', events: history })
      await runProjection(other, todos())
      expect(await rowsOf(other)).toEqual(['yb0'])
      await store.close()
      await other.close()
    })

    test('in a rebuild a query reads the rows that are built, however many there are and however often it is interrupted', async () => {
      const definition = defineProjection(events, {
        name: 'numbered',
        tables: {
          rows: table<{ id: string; n: number }>()({ key: 'id', indexes: { byN: { path: 'n', unique: true } } }),
        },
        on: {
          Added: async ({ data }, { rows }) => {
            const [last] = await rows.getAll({ index: 'byN', direction: 'prev', limit: 1 })
            rows.put({ id: data.to, n: (last?.n ?? 0) + 1 })
          },
        },
      })
      // More than what is searched in memory.
      const count = 1_100
      const store = await open(newName())
      await store.append({ stream: 's', events: Array.from({ length: count }, (_, at) => added(`a${at}`, 1)) })
      await runProjection(store, definition)
      const view = await openReadModel(store, definition)
      const numbers = async () => (await view.rows.getAll({ index: 'byN' })).map(({ n }) => n)
      const expected = Array.from({ length: count }, (_, at) => at + 1)
      expect(await numbers()).toEqual(expected)
      const running = startProjection(store, definition)
      await running.rebuild()
      expect(await numbers()).toEqual(expected)
      await running.rebuild({ wait: false })
      await running.stop()
      for (let run = 0; run < 8; run += 1) await runProjection(store, definition, { budget: { maxEvents: 150 } })
      expect(await numbers()).toEqual(expected)
      expect(await view.position()).toBe(count)
      await view.close()
      await store.close()
    })

    test('a query that nothing waits for fails its event, as do one after the handler and one that makes no sense', async () => {
      for (const [handler, message] of [
        [(rows: TableWriter<Row>) => void rows.getAll().catch(() => {}), /did not wait/],
        [async (rows: TableWriter<Row>) => void rows.getAll().catch(() => {}), /did not wait/],
        [async (rows: TableWriter<Row>) => void rows.getMany([1, 2]).catch(() => {}), /did not wait/],
        [(rows: TableWriter<Row>) => rows.getAll({ index: 'byX' }), /'byX' is not declared/],
        [(rows: TableWriter<Row>) => rows.getAll({ limit: -1 }), /limit must be/],
        [(rows: TableWriter<Row>) => rows.getMany([true as never]), /Key 0 of 'rows'/],
      ] as const) {
        for (const before of [0, 1]) {
          const store = await open(newName())
          const definition = (calls: boolean) =>
            defineProjection(events, {
              name: 'rows',
              tables: { rows: table<Row>({ key: 'id' }) },
              on: {
                Added: ({ data }, { rows }) => (calls && data.amount === 1 ? (handler(rows) as never) : undefined),
              },
            })
          // With what was committed before, rows have to be read; without, the table is known to be empty.
          for (let at = 1 - before; at <= 1; at += 1) {
            await store.append({ stream: 's', events: [added('a', at)] })
            const run = runProjection(store, definition(true))
            if (at === 0) await run
            else
              await expect(run).rejects.toMatchObject({
                position: before + 1,
                cause: { message: expect.stringMatching(message) },
              })
          }
          await store.close()
        }
      }
    })

    test('rows that a query returned are not to be changed, and what is put of them is stored', async () => {
      const store = await open(newName())
      await store.append({ stream: 's', events: [added('a', 1), added('b', 2), added('all', 0)] })
      const definition = defineProjection(events, {
        name: 'frozen',
        tables: { rows: table<{ id: string; n: number; at: Date }>()({ key: 'id', indexes: { byN: 'n' } }) },
        on: {
          Added: async ({ data: { to, amount } }, { rows }) => {
            if (to !== 'all') return rows.put({ id: to, n: amount, at: new Date(amount) })
            const all = await rows.getAll({ index: 'byN', direction: 'prev' })
            all[0]?.at.setTime(99)
            const again = await rows.getMany(['b', 'a'])
            expect(again.map((row) => row?.at.getTime())).toEqual([2, 1])
            for (const row of all) rows.put({ ...row, n: row.n + 10 })
          },
        },
      })
      await runProjection(store, definition)
      const view = await openReadModel(store, definition)
      expect((await view.rows.getAll({ index: 'byN' })).map(({ id, n, at }) => [id, n, at.getTime()])).toEqual([
        ['a', 11, 1],
        ['b', 12, 99],
      ])
      await view.close()
      await store.close()
    })

    if (shared || isFake)
      test('N21: a dead letter whose query would find another row by now is tried again, not stored on top', async () => {
        const store = await open(newName())
        await store.append({ stream: 's', events: [added('x', 1), added('rename', 0)] })
        const state = { replaying: false, tries: 0 }
        const definition = defineProjection(events, {
          ...{ name: 'todos', tables: todos().tables },
          on: {
            Added: async ({ position, data: { to } }, { todos }) => {
              if (to !== 'rename') return todos.put({ id: to, list: 'a', done: 0 })
              const found = await todos.getAll({ index: 'byList', range: 'a' })
              if (!state.replaying) throw new Error(`not yet: ${position}`)
              state.tries += 1
              // A row that comes into the range meanwhile: none of those that were read has changed.
              if (state.tries === 1) {
                const next = await store.append({ stream: 's', events: [added('y', 0)] })
                await expect.poll(() => view.position(), { timeout: 20_000 }).toBe(next.position)
              }
              for (const todo of found) todos.put({ ...todo, list: 'b' })
            },
          },
          onFailure: () => 'park',
        })
        const running = startProjection(store, definition)
        await running.caughtUp(2, { timeout: 20_000 })
        const view = await openReadModel(store, definition)
        state.replaying = true
        for await (const letter of running.deadLetters()) await letter.replay()
        expect([state.tries, (await view.todos.getAll()).map(({ id, list }) => id + list)]).toEqual([2, ['xb', 'yb']])
        await view.close()
        await running.stop()
        await store.close()
      })
  })
}
