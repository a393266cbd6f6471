/** H43: databases of read models that are damaged or deleted are made again, and folded anew: their rows are only a copy of what the log says. */
import { describe, expect, test } from 'vitest'
import {
  defineProjection,
  deleteEventStore,
  openReadModel,
  runProjection,
  startProjection,
  table,
  verifyReadModel,
} from 'tidemark'
import {
  databaseNames,
  databaseOf,
  dumpDatabase,
  loadDatabase,
  settled,
  withDatabase,
} from '../../support/raw-database.js'
import { added, events, folded, sums, type Backend } from './model.js'

const modelOf = (store: string) => `${databaseOf(store)}:sums@1`
const soon = { timeout: 20_000 }

/** Puts a damaged copy of a read model in its place, while nobody has it open. */
async function damage(name: string, remove: (stores: Record<string, any>) => void): Promise<void> {
  const whole = await dumpDatabase(modelOf(name))
  const stores = structuredClone(whole.stores)
  remove(stores)
  await settled(indexedDB.deleteDatabase(modelOf(name)))
  await loadDatabase(modelOf(name), { ...whole, stores })
}
const everything = (stores: Record<string, unknown>) => {
  for (const each of Object.keys(stores)) delete stores[each]
}

export function remadeContract({ name: backend, open }: Backend): void {
  describe(`H43: read models made again: ${backend}`, () => {
    const rows = [
      { name: 'a', count: 2, total: 4 },
      { name: 'b', count: 1, total: 2 },
    ]

    test.for<[string, (stores: Record<string, any>) => void]>([
      ['nothing at all', everything],
      ['no state', (stores) => delete stores['tidemark:state']],
      ['a table missing', (stores) => delete stores['sums']],
      ['the other side of a table missing', (stores) => delete stores['tidemark:other:sums']],
      ['an index missing', (stores) => delete stores['sums'].indexes.byTotal],
      ['the letters missing', (stores) => delete stores['tidemark:letters']],
    ])('a database with %s is made again by whoever opens it, a runner or a reader', async ([, remove]) => {
      const { name, store } = await folded(open)
      await damage(name, remove)
      expect(await runProjection(store, sums())).toMatchObject({ applied: 3, position: 3 })
      expect(await verifyReadModel(store, sums())).toMatchObject({ ok: true, position: 3, rows: 2 })
      await damage(name, remove)
      const view = await openReadModel(store, sums())
      expect([await view.position(), await view.sums.getAll()]).toEqual([0, []])
      await runProjection(store, sums())
      expect(await view.sums.getAll()).toEqual(rows)
      await view.close()
      await store.close()
    })

    test('several tabs that find it damaged at once end with one whole database', async () => {
      const { name, store } = await folded(open)
      const tabs = await Promise.all([1, 2, 3].map(() => open(name)))
      await damage(name, everything)
      const projections = tabs.map((tab) => startProjection(tab, sums()))
      for (const projection of projections) await projection.caughtUp(3, { timeout: 20_000 })
      expect(await verifyReadModel(store, sums())).toMatchObject({ ok: true, position: 3, rows: 2 })
      for (const projection of projections) await projection.stop()
      for (const tab of [...tabs, store]) await tab.close()
    })

    test('a database that is deleted under a running projection and an open view comes back, and both go on', async () => {
      const { name, store } = await folded(open)
      const projection = startProjection(store, sums())
      const view = await openReadModel(store, sums())
      const live = view.live((tables) => tables.sums.getAll())
      const stop = live.subscribe(() => {})
      await expect.poll(() => live.getSnapshot(), soon).toMatchObject({ data: rows })
      await settled(indexedDB.deleteDatabase(modelOf(name)))
      await store.append({ stream: 's', events: [added('b', 5)] })
      const now = [rows[0], { name: 'b', count: 2, total: 7 }]
      await expect.poll(() => view.sums.getAll(), soon).toEqual(now)
      await expect.poll(() => live.getSnapshot(), soon).toMatchObject({ data: now })
      await expect.poll(() => projection.status.getSnapshot(), soon).toMatchObject({ phase: 'live', position: 4 })
      stop()
      await view.close()
      await projection.stop()
      expect(await verifyReadModel(store, sums())).toMatchObject({ ok: true, position: 4 })
      await store.close()
    })

    test('H31: a read model whose store was destroyed is not made again by those who had it open, and they are told', async () => {
      const { name, store } = await folded(open)
      const view = await openReadModel(store, sums())
      const projection = startProjection(store, sums())
      await projection.caughtUp(3, { timeout: 10_000 })
      await deleteEventStore(name)
      await expect(view.sums.getAll()).rejects.toMatchObject({ code: 'storage-lost' })
      await expect(view.position()).rejects.toMatchObject({ code: 'storage-lost' })
      await expect.poll(() => projection.status.getSnapshot().phase, soon).toBe('faulted')
      // A reader and a runner that would begin now are told as well.
      await expect(openReadModel(store, sums())).rejects.toMatchObject({ code: 'storage-lost' })
      await projection.stop()
      await view.close()
      await store.close()
      expect((await databaseNames())?.filter((each) => each.startsWith(databaseOf(name))) ?? []).toEqual([])
    })

    test('what is not damaged is left as it is: other tables under the same version, and a state that does not show', async () => {
      const { name, store } = await folded(open)
      const before = await dumpDatabase(modelOf(name))
      const changed = defineProjection(events, {
        name: 'sums',
        tables: { sums: table<{ name: string }>({ key: 'name' }), more: table<{ id: string }>({ key: 'id' }) },
        on: { Added: () => {} },
      })
      await expect(openReadModel(store, changed)).rejects.toMatchObject({ code: 'definition-changed' })
      expect(await dumpDatabase(modelOf(name))).toEqual(before)
      await withDatabase(modelOf(name), async (database) => {
        await settled(database.transaction('tidemark:state', 'readwrite').objectStore('tidemark:state').clear())
      })
      await expect(openReadModel(store, sums())).rejects.toMatchObject({
        code: 'storage-failed',
        message: expect.stringContaining("raise 'version'"),
      })
      expect((await dumpDatabase(modelOf(name))).stores['sums']?.rows).toEqual(rows)
      await store.close()
    })
  })
}
