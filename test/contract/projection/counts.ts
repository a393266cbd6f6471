/** Counting the rows of a table that lies in packs: without reading them. */
import { describe, expect, test } from 'vitest'
import {
  defineProjection,
  deleteReadModel,
  openReadModel,
  runProjection,
  startProjection,
  table,
  verifyReadModel,
} from 'tidemark'
import { seededRandom } from '../../../src/testing/random.js'
import { completed, databaseOf, settled, withDatabase } from '../../support/raw-database.js'
import { added, events, newName, type Backend, type Store } from './model.js'

interface Row {
  readonly name: string
  readonly n: number
}
const rows = (bad: (position: number) => boolean = () => false) =>
  defineProjection(events, {
    name: 'counted',
    tables: {
      rows: table<Row>({ key: 'name' }),
      others: table<Row>({ key: 'name' }),
      __proto__x: table<Row>({ key: 'name' }),
    },
    on: {
      Added: ({ data: { to, amount }, position }, { rows, others }) => {
        if (bad(position)) throw new Error('bad')
        if (amount < 0) rows.delete(to)
        else rows.put({ name: to, n: amount })
        if (amount === 7) others.put({ name: to, n: 7 })
      },
    },
    onFailure: () => 'park',
  })

/** What is asked of IndexedDB while `work` runs. */
async function requestsOf<T>(work: () => Promise<T>): Promise<{ value: T; requests: string[] }> {
  const requests: string[] = []
  const undo: (() => void)[] = []
  for (const [prototype, methods] of [
    [IDBObjectStore.prototype, ['get', 'getAll', 'getAllKeys', 'openCursor', 'openKeyCursor', 'count']],
    [IDBDatabase.prototype, ['transaction']],
  ] as const) {
    const patched = prototype as unknown as Record<string, unknown>
    for (const method of methods) {
      const original = patched[method] as (...args: unknown[]) => unknown
      patched[method] = function (this: { name: string }, ...args: unknown[]) {
        requests.push(method === 'transaction' ? method : `${method} of ${this.name}`)
        return original.apply(this, args)
      }
      undo.push(() => (patched[method] = original))
    }
  }
  try {
    return { value: await work(), requests }
  } finally {
    for (const each of undo) each()
  }
}

export function countsContract({ name: backend, open, shared, onDevice = shared }: Backend): void {
  describe(`counts of rows: ${backend}`, () => {
    test(
      'whatever is put, deleted, parked, replayed, rebuilt and taken over, the count is that of the rows',
      { timeout: 240_000 },
      async () => {
        const random = seededRandom(20261129)
        const name = newName()
        let tabs = [await open(name), shared ? await open(name) : undefined].filter(
          (tab) => tab !== undefined,
        ) as Store[]
        const expectRight = async (store: Store) => {
          const view = await openReadModel(store, rows())
          for (const reader of [view.rows, view.others, view['__proto__x']])
            expect(await reader.count()).toBe((await reader.getAll()).length)
          await view.close()
        }
        let isBad = true
        for (let step = 0; step < 14; step += 1) {
          const store = tabs[Math.floor(random() * tabs.length)] as Store
          const list = Array.from({ length: 1 + Math.floor(random() ** 3 * 900) }, () =>
            added(`k${Math.floor(random() * 400)}`, random() < 0.3 ? -1 : Math.floor(random() * 20)),
          )
          const { position } = await store.append({ stream: 's', events: list })
          const runs = startProjection(
            store,
            rows((at) => isBad && at % 50 === 0),
          )
          await runs.caughtUp(position, { timeout: 20_000 })
          await expectRight(store)
          if (step % 4 === 1) await runs.rebuild()
          if (step % 4 === 2) await runs.rebuild({ wait: false })
          if (step % 5 === 3) {
            isBad = false
            for await (const letter of runs.deadLetters()) await letter.replay()
            isBad = true
          }
          await expectRight(store)
          await runs.stop()
          // Another tab, or the same one later, which remembers nothing.
          if (shared && step % 3 === 0) {
            await store.close()
            tabs = [...tabs.filter((tab) => tab !== store), await open(name)]
          }
          await expectRight(tabs[0] as Store)
        }
        // Letters were replayed after later events, so the rows may differ from a fold in order.
        expect(
          (await verifyReadModel(tabs[0] as Store, rows())).defects.filter(({ kind }) => kind === 'state'),
        ).toEqual([])
        for (const tab of tabs) await tab.close()
      },
    )

    if (!onDevice) return

    const filled = async (count: number) => {
      const name = newName()
      const store = await open(name)
      await store.append({
        stream: 's',
        events: Array.from({ length: count }, (_, at) => added(`k${String(at).padStart(6, '0')}`, at)),
      })
      await runProjection(store, rows())
      return { name, store, view: await openReadModel(store, rows()) }
    }
    const editState = (store: string, change: (state: any) => unknown) =>
      withDatabase(`${databaseOf(store)}:counted@1`, async (database) => {
        const transaction = database.transaction('tidemark:state', 'readwrite')
        const states = transaction.objectStore('tidemark:state')
        states.put(change(await settled(states.get('state'))))
        await completed(transaction)
      })

    test('count() reads the state and no row, in one transaction, however many rows there are; a range reads the packs in it', async () => {
      const { store, view } = await filled(3_000)
      for (const options of [undefined, {}, { range: {} }, { range: { lower: undefined } }]) {
        expect(await requestsOf(() => view.rows.count(options as never))).toEqual({
          value: 3_000,
          requests: ['transaction', 'get of tidemark:state'],
        })
      }
      expect((await requestsOf(() => view.others.count())).value).toBe(1)
      const part = await requestsOf(() =>
        view.rows.count({ range: { lower: 'k000100', upper: 'k000300', upperOpen: true } }),
      )
      expect(part.value).toBe(200)
      expect(part.requests.filter((each) => each.endsWith(' of rows')).length).toBeLessThanOrEqual(2)
      await view.close()
      await store.close()
    })

    test('where the state does not say it, or a tidemark that knows no counts moved it on, the packs are counted; a rebuild counts anew', async () => {
      const { name, store, view } = await filled(500)
      const counts = async () => await requestsOf(() => view.rows.count())
      await editState(name, ({ counts: _, ...state }) => state)
      expect((await counts()).value).toBe(500)
      expect((await counts()).requests).toContain('getAll of rows')
      // As such a build leaves it: other rows, a new checkpoint, and counts that it passed on.
      await editState(name, (state) => ({
        ...state,
        counts: { of: 'another state', sides: { 0: { rows: 7 }, 1: {} } },
      }))
      expect((await counts()).value).toBe(500)
      await store.append({ stream: 's', events: [added('new', 1)] })
      await runProjection(store, rows())
      expect((await counts()).value).toBe(501)
      for (const junk of [5, null, { of: 5 }, { of: '', sides: null }]) {
        await editState(name, (state) => ({ ...state, counts: junk }))
        expect((await counts()).value).toBe(501)
      }
      const runs = startProjection(store, rows())
      await runs.rebuild()
      await runs.stop()
      // Finds out that readers see the other side now.
      await view.rows.get('new')
      expect(await counts()).toEqual({ value: 501, requests: ['transaction', 'get of tidemark:state'] })
      await view.close()
      await store.close()
    })

    test.for([null, 5, 'ab', [3], { rows: -5 }, { rows: 1.5 }, { rows: '3' }])(
      'counts that somebody edited to %o are no counts, nor is anything added to them',
      async (side) => {
        const { name, store, view } = await filled(100)
        await editState(name, (state) => ({
          ...state,
          counts: { ...state.counts, sides: { ...state.counts.sides, 0: side } },
        }))
        expect(await view.rows.count()).toBe(100)
        await store.append({ stream: 's', events: [added('new', 1)] })
        await runProjection(store, rows())
        expect(await view.rows.count()).toBe(101)
        await view.close()
        await store.close()
      },
    )

    test('a state that sends readers to the other side, by hand, is an integrity error with its name', async () => {
      const { name, store, view } = await filled(100)
      await editState(name, (state) => ({ ...state, shown: 1 }))
      const error = { code: 'log-inconsistent', message: expect.stringContaining("'shown' is 1") }
      await expect(view.rows.getAll()).rejects.toMatchObject(error)
      await view.close()
      await expect(openReadModel(store, rows())).rejects.toMatchObject(error)
      await expect(runProjection(store, rows())).rejects.toMatchObject({ cause: error })
      expect((await verifyReadModel(store, rows())).defects).toMatchObject([
        { kind: 'state', message: expect.stringContaining("'shown' is 1") },
      ])
      await deleteReadModel(store, rows())
      await runProjection(store, rows())
      const again = await openReadModel(store, rows())
      expect(await again.rows.count()).toBe(100)
      await again.close()
      await store.close()
    })

    test('a commit that finds the state changed beside its rows, as by a pause, counts its rows all the same', async () => {
      const { name, store, view: before } = await filled(100)
      await before.close()
      const definition = rows()
      const runs = startProjection(store, {
        ...definition,
        on: {
          Added: async (event, tables) => {
            await definition.on.Added?.(event, tables)
            if (event.data.to === 'newer') await editState(name, (state) => ({ ...state, noted: 'by another tab' }))
          },
        },
      })
      // From here on it remembers the packs, and writes them in the turn that it asks for the state in.
      await runs.caughtUp(
        (await store.append({ stream: 's', events: [added('k000002', 5), added('m', 1)] })).position,
        { timeout: 10_000 },
      )
      await runs.caughtUp(
        (await store.append({ stream: 's', events: [added('new', 1), added('k000001', -1), added('newer', 1)] }))
          .position,
        { timeout: 10_000 },
      )
      await runs.stop()
      const view = await openReadModel(store, rows())
      await view.position()
      expect(await requestsOf(() => view.rows.count())).toEqual({
        value: 102,
        requests: ['transaction', 'get of tidemark:state'],
      })
      await view.close()
      await store.close()
    })

    test('H76: a count that is wrong is found', async () => {
      const { name, store, view } = await filled(100)
      await editState(name, (state) => ({
        ...state,
        counts: { ...state.counts, sides: { ...state.counts.sides, 0: { rows: 99 } } },
      }))
      expect((await verifyReadModel(store, rows())).defects).toMatchObject([
        { kind: 'state', table: 'rows', message: expect.stringContaining('99 rows, and there are 100') },
        { kind: 'state', table: 'others' },
      ])
      await view.close()
      await store.close()
    })
  })
}
