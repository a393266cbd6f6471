/** One name and version, one definition: in one context at a time, and over time. */
import { describe, expect, test } from 'vitest'
import {
  defineEvents,
  defineProjection,
  deleteReadModel,
  openReadModel,
  runProjection,
  startProjection,
  table,
  verifyReadModel,
  type EventFilter,
  type ProjectionHandle,
} from 'tidemark'
import { databaseOf, withDatabase, completed, settled } from '../../support/raw-database.js'
import { added, events, newName, other, rowsOf, sums, type Backend, type Event, type Store, type Sum } from './model.js'

const tables = { sums: table<Sum>()({ key: 'name', indexes: { byTotal: 'total' } }) }
const soon = { timeout: 25_000 }
const refused = { name: 'DefinitionChangedError', code: 'definition-changed' }

/** Like `sums`, but that every amount counts double. */
const doubled = () =>
  defineProjection(events, {
    name: 'sums',
    tables,
    on: {
      Added: async ({ data: { to, amount } }, { sums }) =>
        sums.update(to, (row) => ({ name: to, count: (row?.count ?? 0) + 1, total: (row?.total ?? 0) + 2 * amount })),
    },
  })

export function definitionsContract({ name, open, shared, onDevice = shared }: Backend): void {
  const filled = async (storeName = newName()) => {
    const store = await open(storeName)
    await store.append({ stream: 's', events: [added('a', 1), other(), added('a', 2)] })
    return store
  }
  const stopped = async (...handles: ProjectionHandle[]) => {
    for (const handle of handles) await handle.stop()
  }

  describe(`H51: one definition under a name and version: ${name}`, () => {
    const started = async (store: Store) => {
      const first = startProjection(store, sums())
      await first.caughtUp(3, soon)
      return first
    }

    test('another one is refused while the first is at work, at every entrance, with both named', async () => {
      const store = await filled()
      const first = await started(store)
      const message = expect.stringMatching(/^Two definitions of 'sums@1' .* differ in .*on\.Added/)
      await expect(runProjection(store, doubled())).rejects.toMatchObject({ ...refused, message })
      await expect(openReadModel(store, doubled())).rejects.toMatchObject({ ...refused, message })
      await expect(verifyReadModel(store, doubled())).rejects.toMatchObject({ ...refused, message })
      const second = startProjection(store, doubled())
      await expect(second.caughtUp(3, soon)).rejects.toMatchObject({ ...refused, message })
      expect(second.status.getSnapshot()).toMatchObject({ phase: 'faulted', lastError: refused })
      await expect(second.resume()).rejects.toMatchObject(refused)
      expect(await rowsOf(store, sums())).toEqual([{ name: 'a', count: 2, total: 3 }])
      await stopped(first, second)
      await store.close()
    })
    test('the second may come once everything of the first was stopped and closed, and a refused one when it is resumed', async () => {
      const store = await filled()
      const first = await started(store)
      const view = await openReadModel(store, sums())
      const second = startProjection(store, doubled())
      await expect(second.caughtUp(3, soon)).rejects.toMatchObject(refused)
      await first.stop()
      await expect(second.resume()).rejects.toMatchObject(refused)
      await view.close()
      await second.resume()
      await second.rebuild()
      expect(await rowsOf(store, doubled())).toEqual([{ name: 'a', count: 2, total: 6 }])
      await second.stop()
      await store.close()
    })
    test('a view alone is of its definition, too', async () => {
      const store = await filled()
      await runProjection(store, sums())
      const view = await openReadModel(store, sums())
      await expect(runProjection(store, doubled())).rejects.toMatchObject(refused)
      await view.close()
      expect(await runProjection(store, doubled())).toMatchObject({ reason: 'caught-up' })
      await store.close()
    })
    const withPolicy = () => defineProjection(events, { name: 'sums', tables, on: sums().on, onFailure: () => 'park' })
    const filtered = () =>
      defineProjection(events, {
        name: 'sums',
        tables,
        on: sums().on,
        filter: { streamPrefix: 's' },
        onFailure: ({ retryCount }) => (retryCount > 0 ? 'skip' : 'fatal'),
      })
    const key = () => 'a'
    const folded = (first: boolean) =>
      defineProjection(events, {
        name: 'folded',
        tables: { sums: table<Sum>({ key: 'name' }) },
        fold: {
          sums: {
            key,
            evolve: first
              ? (row) => ({ name: 'a', count: (row?.count ?? 0) + 1, total: 0 })
              : (row) => ({ name: 'a', count: 0, total: (row?.total ?? 0) + 1 }),
          },
        },
      })
    test('policy, filter and folds belong to it', async () => {
      const store = await filled()
      const first = await started(store)
      await expect(runProjection(store, withPolicy())).rejects.toMatchObject({
        message: expect.stringMatching(/differ in onFailure:/),
      })
      await expect(runProjection(store, filtered())).rejects.toMatchObject({
        message: expect.stringMatching(/differ in onFailure, filter:/),
      })
      await first.stop()
      const fold = startProjection(store, folded(true))
      await fold.caughtUp(3, soon)
      await expect(runProjection(store, folded(false))).rejects.toMatchObject({
        message: expect.stringContaining('fold.sums.evolve'),
      })
      await fold.stop()
      await store.close()
    })
    test('the same text is the same definition: a module may be evaluated twice', async () => {
      const store = await filled()
      const first = await started(store)
      const second = startProjection(store, sums())
      await second.caughtUp(3, soon)
      expect(await rowsOf(store, sums())).toHaveLength(1)
      expect((await verifyReadModel(store, sums())).ok).toBe(true)
      await stopped(first, second)
      await store.close()
    })
    test('of functions that were bound only the names can be told apart', async () => {
      const store = await filled()
      function one() {}
      function two() {}
      const bound = (handler: () => void) =>
        defineProjection(events, { name: 'sums', tables, on: { Added: handler.bind(undefined) } })
      const first = startProjection(store, bound(one))
      await first.caughtUp(3, soon)
      await expect(openReadModel(store, bound(two))).rejects.toMatchObject({
        ...refused,
        message: expect.stringContaining('bound one'),
      })
      await (await openReadModel(store, bound(one))).close()
      await first.stop()
      await store.close()
    })
    test('other names, versions and stores are in nobody’s way', async () => {
      const [store, elsewhere] = [await filled(), await filled()]
      const first = await started(store)
      expect(await runProjection(elsewhere, doubled())).toMatchObject({ reason: 'caught-up' })
      expect(await runProjection(store, { ...doubled(), version: 2 })).toMatchObject({ reason: 'caught-up' })
      expect(await runProjection(store, { ...doubled(), name: 'others' })).toMatchObject({ reason: 'caught-up' })
      await first.stop()
      for (const each of [store, elsewhere]) await each.close()
    })
    if (shared) {
      test('a second instance of the store is the same store', async () => {
        const storeName = newName()
        const [store, again] = [await filled(storeName), await open(storeName)]
        const first = await started(store)
        await expect(runProjection(again, doubled())).rejects.toMatchObject(refused)
        await first.stop()
        expect(await runProjection(again, doubled())).toMatchObject({ reason: 'caught-up' })
        for (const each of [store, again]) await each.close()
      })
    }
    test('what was left open over a store that was closed is in nobody’s way', async () => {
      const storeName = newName()
      const store = await filled(storeName)
      const first = await started(store)
      const view = await openReadModel(store, sums())
      await store.close()
      const again = shared ? await open(storeName) : await filled(storeName)
      const other = await openReadModel(again, doubled())
      await expect(openReadModel(again, sums())).rejects.toMatchObject(refused)
      await view.close()
      await first.stop()
      await expect(openReadModel(again, sums())).rejects.toMatchObject(refused)
      await other.close()
      await (await openReadModel(again, sums())).close()
      await again.close()
    })
    test('one that could not be opened is in nobody’s way afterwards', async () => {
      const store = await filled()
      await runProjection(store, sums())
      const changed = defineProjection(events, {
        name: 'sums',
        tables: { sums: table<{ id: string }>({ key: 'id' }) },
        on: { Added: () => {} },
      })
      await expect(openReadModel(store, changed)).rejects.toMatchObject(refused)
      await expect(runProjection(store, changed)).rejects.toMatchObject(refused)
      expect(await rowsOf(store, sums())).toHaveLength(1)
      await store.close()
    })
    test('plain projectors: the order of the types in a filter makes no other one', async () => {
      const store = await filled()
      const plain = (...types: Event['type'][]) => ({ name: 'plain', apply() {}, filter: { types } })
      const first = startProjection<Event, never>(store, plain('Added', 'Other'))
      await first.caughtUp(3, soon)
      const second = startProjection<Event, never>(store, plain('Other', 'Added'))
      await second.caughtUp(3, soon)
      await expect(runProjection(store, plain('Other'))).rejects.toMatchObject({
        ...refused,
        message: expect.stringContaining('filter'),
      })
      await stopped(first, second)
      await store.close()
    })
    test('plain projectors: another function under one name is refused, the same text is not', async () => {
      const store = await filled()
      const seen: number[] = []
      const plain = () => ({ name: 'plain', apply: ({ position }: { position: number }) => void seen.push(position) })
      const first = startProjection<Event, never>(store, plain())
      await first.caughtUp(3, soon)
      const another = { name: 'plain', apply: () => void seen.push(-1) }
      await expect(runProjection(store, another)).rejects.toMatchObject({
        ...refused,
        message: expect.stringContaining("'plain'"),
      })
      const second = startProjection<Event, never>(store, another)
      await expect(second.caughtUp(3, soon)).rejects.toMatchObject(refused)
      await expect(runProjection(store, plain())).rejects.toMatchObject({ code: 'already-running' })
      await stopped(first, second)
      expect(await runProjection(store, another)).toMatchObject({ position: 3 })
      expect(seen).toEqual([1, 2, 3])
      await store.close()
    })
  })

  describe(`one set of events under a name and version, over time: ${name}`, () => {
    const define = (types: readonly string[], filter: EventFilter<Event> = {}, fold = false) =>
      defineProjection(events, {
        name: 'typed',
        tables: { sums: table<Sum>({ key: 'name' }) },
        on: Object.fromEntries(types.map((type) => [type, () => {}])),
        filter,
        ...(fold && { fold: { sums: { key: () => undefined, evolve: () => null } } }),
      })
    /** A fold of all events of a catalogue that knows these types. */
    const foldOf = (...types: readonly string[]) =>
      defineProjection(defineEvents(Object.fromEntries(types.map((type) => [type, {}]))) as unknown as typeof events, {
        name: 'typed',
        tables: { sums: table<Sum>({ key: 'name' }) },
        fold: { sums: { key: () => undefined, evolve: () => null } },
      })
    const both = define(['Added', 'Other'])
    test.for([
      ['another type', define(['Added']), both],
      ['a type less', both, define(['Added'])],
      ['a type more in the filter', define(['Added', 'Other'], { types: ['Added'] }), both],
      ['a prefix', define(['Added']), define(['Added'], { streamPrefix: 's' })],
      ['another prefix', define(['Added'], { streamPrefix: 's' }), define(['Added'], { streamPrefix: 't' })],
      ['a pattern', define(['Added']), define(['Added'], { streamPattern: 's*' })],
      ['a handler beside a fold of all', define([], {}, true), define(['Added'], {}, true)],
      ['a fold of all', define(['Added']), define(['Added'], {}, true)],
    ] as const)('%s under the same version is refused', async ([, before, after]) => {
      const store = await filled()
      expect(await runProjection(store, before)).toMatchObject({ position: 3 })
      const error = {
        ...refused,
        message: expect.stringMatching(/^The event types or the filter of 'typed@1' .*Raise 'version'/),
      }
      await expect(runProjection(store, after)).rejects.toMatchObject(error)
      await expect(openReadModel(store, after)).rejects.toMatchObject(error)
      const handle = startProjection(store, after)
      await expect(handle.caughtUp(3, soon)).rejects.toMatchObject(error)
      await handle.stop()
      expect((await verifyReadModel(store, after)).defects).toMatchObject([{ kind: 'tables' }])
      // What it said it would do: another version, or none stored.
      expect(await runProjection(store, { ...after, version: 2 })).toMatchObject({ position: 3 })
      await deleteReadModel(store, after)
      expect(await verifyReadModel(store, after)).toMatchObject({ ok: true, rows: 0 })
      expect(await runProjection(store, after)).toMatchObject({ position: 3 })
      await store.close()
    })
    test.for([
      ['the order of handlers', both, define(['Other', 'Added'])],
      ['a type named twice', define(['Added'], { types: ['Added'] }), define(['Added'], { types: ['Added', 'Added'] })],
      ['an empty prefix', define(['Added']), define(['Added'], { streamPrefix: '' })],
      ['types that the handlers name anyway', define(['Added']), define(['Added'], { types: ['Added'] })],
      ['a type more in the catalogue of a fold', foldOf('Added'), foldOf('Added', 'Other')],
      ['a catalogue of types only', foldOf('Added'), define([], {}, true)],
    ] as const)('%s changes nothing', async ([, before, after]) => {
      const store = await filled()
      await runProjection(store, before)
      expect(await runProjection(store, after)).toMatchObject({ position: 3, reason: 'caught-up' })
      await store.close()
    })
    if (onDevice) {
      test('a read model of an older build, which stored no types, is adopted once, by the first run', async () => {
        const storeName = newName()
        const store = await filled(storeName)
        await runProjection(store, define(['Added']))
        const edit = (change: (row: Record<string, unknown>) => unknown) =>
          withDatabase(`${databaseOf(storeName)}:typed@1`, async (database) => {
            const transaction = database.transaction('tidemark:state', 'readwrite')
            const state = transaction.objectStore('tidemark:state')
            state.put(change((await settled(state.get('state'))) as Record<string, unknown>))
            await completed(transaction)
          })
        await edit(({ handles, ...older }) => {
          expect(handles).toEqual(expect.stringContaining('Added'))
          return older
        })
        const view = await openReadModel(store, both)
        await view.close()
        expect(await runProjection(store, both)).toMatchObject({ position: 3 })
        await expect(runProjection(store, define(['Added']))).rejects.toMatchObject(refused)
        await store.close()
      })
    }
  })
}
