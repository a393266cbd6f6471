/** Patches of rows: merged into what the steps before left, against a map. */
import fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { defineProjection, openReadModel, runProjection, startProjection, table } from 'tidemark'
import { added, events, newName, type Backend } from './model.js'

interface Row {
  readonly id: string
  readonly n: number
  readonly text?: string | undefined
  readonly within?: { readonly a?: number; readonly b?: number }
}

const key = fc.constantFrom('a', 'b', 'c', 'd')
const changes: fc.Arbitrary<Partial<Row>> = fc.record(
  {
    id: fc.constant('a'),
    n: fc.nat(3),
    text: fc.constantFrom('x', undefined),
    within: fc.record({ a: fc.nat(2), b: fc.nat(2) }, { requiredKeys: [], noNullPrototype: true }),
  },
  { requiredKeys: [], noNullPrototype: true },
)
const step = fc.oneof(
  fc.record({ put: fc.record({ id: key, n: fc.nat(3) }, { noNullPrototype: true }) }),
  fc.record({ delete: key }),
  fc.record({ patch: key, by: changes }),
)
type Step = { put: Row } | { delete: string } | { patch: string; by: Partial<Row> }

export function patchesContract({ name, open }: Backend): void {
  describe(`patches: ${name}`, () => {
    test.for([[false], [true]] as const)(
      'N103: a patch merges into the row that the steps before left, keeps its key, and leaves what is not there alone (indexed: %s)',
      { timeout: 240_000 },
      async ([indexed]) => {
        await fc.assert(
          fc.asyncProperty(
            fc.array(fc.record({ steps: fc.array(step, { maxLength: 6 }), ends: fc.boolean() }), { maxLength: 10 }),
            async (script: readonly { readonly steps: readonly Step[]; readonly ends: boolean }[]) => {
              const store = await open(newName())
              const seen = new Map<number, boolean[]>()
              const definition = defineProjection(events, {
                name: 'patched',
                tables: {
                  rows: table<Row>()({
                    key: 'id',
                    indexes: (indexed ? { byN: 'n', byText: 'text' } : {}) as unknown as { byN: 'n' },
                  }),
                },
                on: {
                  Added: async ({ data }, { rows }) => {
                    const there: boolean[] = []
                    seen.set(data.amount, there)
                    for (const one of script[data.amount]?.steps ?? []) {
                      if ('put' in one) rows.put(one.put)
                      else if ('delete' in one) rows.delete(one.delete)
                      else there.push(await rows.patch(one.patch, one.by))
                    }
                  },
                },
                onFailure: () => 'skip',
              })
              let model = new Map<string, Row>()
              const expected = new Map<number, boolean[]>()
              for (const [at, { steps, ends }] of script.entries()) {
                const tried = new Map(model)
                const there: boolean[] = []
                expected.set(at, there)
                const isRefused = !steps.every((one) => {
                  if ('put' in one) return tried.set(one.put.id, one.put)
                  if ('delete' in one) return tried.delete(one.delete) || true
                  const row = tried.get(one.patch)
                  if (row !== undefined && one.by.id !== undefined && one.by.id !== one.patch) return false
                  there.push(row !== undefined)
                  return row === undefined || tried.set(one.patch, { ...row, ...one.by })
                })
                if (!isRefused) model = tried
                await store.append({ stream: 's', events: [added('a', at)] })
                if (ends || at === script.length - 1) await runProjection(store, definition)
              }
              expect(seen).toEqual(expected)
              const view = await openReadModel(store, definition)
              const rows = [...model.values()].sort((left, right) => (left.id < right.id ? -1 : 1))
              expect(await view.rows.getAll()).toStrictEqual(rows)
              if (indexed)
                expect(await view.rows.count({ index: 'byN', range: { lower: 2 } })).toBe(
                  rows.filter(({ n }) => n >= 2).length,
                )
              await view.close()
              await store.close()
            },
          ),
          { numRuns: name === 'memory' ? 100 : 25 },
        )
      },
    )

    test('a patch of what is not there writes nothing, so that no query runs again', async () => {
      const store = await open(newName())
      const definition = defineProjection(events, {
        name: 'absent',
        tables: { rows: table<Row>({ key: 'id' }) },
        on: {
          Added: async ({ data }, { rows }) => {
            if (data.amount === 1) expect(await rows.patch('a', { n: 1 })).toBe(false)
            else rows.put({ id: data.to, n: 0 })
          },
        },
      })
      const running = startProjection(store, definition)
      await store.append({ stream: 's', events: [added('b', 0)] })
      await running.caughtUp(1)
      const view = await openReadModel(store, definition)
      let runs = 0
      const shown = view.live(({ rows }) => {
        runs += 1
        return rows.get('a')
      })
      const stop = shown.subscribe(() => {})
      await shown.ready()
      await store.append({ stream: 's', events: [added('a', 1)] })
      await running.caughtUp(2)
      await store.append({ stream: 's', events: [added('a', 2)] })
      await running.caughtUp(3)
      await vi.waitFor(() => expect(shown.getSnapshot().data).toEqual({ id: 'a', n: 0 }))
      expect(runs).toBe(2)
      stop()
      await view.close()
      await running.stop()
      await store.close()
    })

    test('patches of one row in parallel each start from the one before; what is changed after the call does not count', async () => {
      const store = await open(newName())
      const definition = defineProjection(events, {
        name: 'parallel',
        tables: { rows: table<Row>({ key: 'id' }) },
        on: {
          Added: async ({ data: { amount } }, { rows }) => {
            if (amount === 0) return rows.put({ id: 'a', n: 0, text: 'x', within: { a: 1 } })
            const given: { n?: number; within?: object } = { n: amount }
            const patched = [rows.patch('a', given), rows.patch('a', { within: { b: 2 } })]
            Object.assign(given, { n: 99, text: 'changed' })
            return Promise.all(patched)
          },
        },
      })
      await store.append({ stream: 's', events: [added('a', 0)] })
      await runProjection(store, definition)
      await store.append({ stream: 's', events: [added('a', 1)] })
      await runProjection(store, definition)
      const view = await openReadModel(store, definition)
      expect(await view.rows.getAll()).toEqual([{ id: 'a', n: 1, text: 'x', within: { b: 2 } }])
      await view.close()
      await store.close()
    })

    test.for<[string, readonly unknown[], RegExp]>([
      ['no object', ['a', 'n'], /changes must be an object/],
      ['nothing', ['a', undefined], /changes must be an object/],
      ['no key', [true, { n: 1 }], /key of 'rows'/i],
      ['another key', ['a', { id: 'b' }], /another key/],
      ['what the schema refuses', ['a', { n: 'one' }], /n/],
      ['what cannot be stored', ['a', { text: () => 'x' }], /text/],
    ])('%s fails the event, and leaves the row as it was', async ([, given, message]) => {
      const store = await open(newName())
      const schema = z.looseObject({ id: z.string(), n: z.number() })
      const definition = defineProjection(events, {
        name: 'refused',
        tables: { rows: { key: 'id', schema, indexes: { byN: 'n' } } },
        on: {
          Added: ({ data }, { rows }) =>
            data.amount === 0 ? rows.put({ id: 'a', n: 0 }) : rows.patch(...(given as ['a', {}])),
        },
      })
      await store.append({ stream: 's', events: [added('a', 0), added('a', 1)] })
      await expect(runProjection(store, definition)).rejects.toMatchObject({
        position: 2,
        cause: { code: 'invalid-argument', message: expect.stringMatching(message) },
      })
      const view = await openReadModel(store, definition)
      expect(await view.rows.getAll()).toEqual([{ id: 'a', n: 0 }])
      await view.close()
      await store.close()
    })
  })
}
