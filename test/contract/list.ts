/** What is stored can be listed and removed by name, also where no code defines it any more. */
import { afterEach, describe, expect, test } from 'vitest'
import {
  defineEvents,
  defineProjection,
  deleteEventStore,
  deleteReadModel,
  listEventStores,
  listReadModels,
  openReadModel,
  runProjection,
  startProjection,
  table,
  type TidemarkStore,
} from 'tidemark'
import { databaseNames, databaseOf, settled, withDatabase } from '../support/raw-database.js'

type Event = { type: 'Added'; data: { n: number } }
const events = defineEvents<Event>()
const model = (name: string, version = 1) =>
  defineProjection(events, {
    name,
    version,
    tables: { rows: table<{ id: number }>({ key: 'id' }) },
    on: {
      Added: ({ position, data }, { rows }) => {
        if (data.n < 0) throw new Error('negative')
        return rows.put({ id: position })
      },
    },
    onFailure: () => 'park',
  })

export interface ListedBackend {
  readonly name: string
  readonly onDevice: boolean
  open(name: string): Promise<TidemarkStore<Event>>
}

export function listContract({ name: backend, onDevice, open }: ListedBackend): void {
  let count = 0
  const stores: TidemarkStore<Event>[] = []
  const opened = async (name = `list-${(count += 1)}-${Math.random()}`) => {
    const store = await open(name)
    stores.push(store)
    return store
  }
  afterEach(async () => {
    const names = new Set(stores.map(({ name }) => name))
    for (const store of stores.splice(0)) await store.close()
    if (onDevice) for (const name of names) await deleteEventStore(name)
  })

  describe(`what is stored: ${backend}`, () => {
    test('read models, with their version, position and dead letters, in order', async () => {
      const store = await opened()
      expect(await listReadModels(store)).toEqual([])
      await store.append('a', [events.Added({ n: 1 }), events.Added({ n: -1 })])
      await runProjection(store, model('b', 12))
      await runProjection(store, model('b', 2))
      await store.append('a', events.Added({ n: 2 }))
      await runProjection(store, model('a@1'))
      expect(await listReadModels(store)).toMatchObject([
        { name: 'a@1', version: 1, position: 3, deadLetterCount: 1 },
        { name: 'b', version: 2, position: 2, deadLetterCount: 1 },
        { name: 'b', version: 12, position: 2, deadLetterCount: 1 },
      ])
      expect(await listReadModels(await opened())).toEqual([])
    })

    test('one is in use while it runs or is read, and cannot be deleted by name; then it can, and begins again', async () => {
      const store = await opened()
      await store.append('a', events.Added({ n: 1 }))
      const projection = startProjection(store, model('p'))
      await projection.caughtUp(1)
      const view = await openReadModel(store, model('p'))
      const stored = { name: 'p', version: 1 }
      for (const end of [() => projection.stop(), () => view.close()]) {
        expect(await listReadModels(store)).toMatchObject([{ ...stored, position: 1, inUse: true }])
        await expect(deleteReadModel(store, stored)).rejects.toMatchObject({ code: 'already-running' })
        expect(await listReadModels(store)).toMatchObject([{ position: 1 }])
        await end()
      }
      await expect.poll(async () => (await listReadModels(store))[0]?.inUse, { timeout: 5000 }).not.toBe(true)
      const [entry] = await listReadModels(store)
      await deleteReadModel(store, entry as NonNullable<typeof entry>)
      expect(await listReadModels(store)).toEqual([])
      if (onDevice) expect(await databaseNames()).not.toContain(`${databaseOf(store.name)}:p@1`)
      expect(await runProjection(store, model('p'))).toMatchObject({ applied: 1, position: 1 })
    })

    test.runIf(onDevice)('one that another instance uses is in use here too', async () => {
      const store = await opened()
      const other = await opened(store.name)
      await runProjection(store, model('p'))
      const view = await openReadModel(other, model('p'))
      await view.rows.getAll()
      expect(await listReadModels(store)).toMatchObject([{ inUse: true }])
      await expect(deleteReadModel(store, { name: 'p', version: 1 })).rejects.toMatchObject({ code: 'already-running' })
      await view.close()
    })

    test.runIf(onDevice && globalThis.navigator?.locks !== undefined)(
      'one that another tab has open is in use here, and is left to it',
      async () => {
        const store = await opened()
        await runProjection(store, model('p'))
        // As a tab with a view of it does.
        let close = () => {}
        const name = `${databaseOf(store.name)}:p@1:in-use`
        const held = new Promise<void>((resolve) => {
          void navigator.locks.request(name, { mode: 'shared' }, () => {
            resolve()
            return new Promise<void>((free) => (close = free))
          })
        })
        await held
        expect(await listReadModels(store)).toMatchObject([{ inUse: true }])
        await expect(deleteReadModel(store, { name: 'p', version: 1 })).rejects.toMatchObject({
          code: 'already-running',
        })
        close()
        await expect.poll(async () => (await listReadModels(store))[0]?.inUse, { timeout: 5000 }).toBe(false)
        await deleteReadModel(store, { name: 'p', version: 1 })
        expect(await listReadModels(store)).toEqual([])
      },
    )

    test('one that was never made, and other versions, are left alone', async () => {
      const store = await opened()
      await store.append('a', events.Added({ n: 1 }))
      await runProjection(store, model('p', 2))
      await deleteReadModel(store, { name: 'p', version: 1 })
      await deleteReadModel(store, { name: 'q', version: 2 })
      expect(await listReadModels(store)).toMatchObject([{ name: 'p', version: 2, position: 1 }])
    })

    test('what is no name and version is refused, and so is a closed store', async () => {
      const store = await opened()
      for (const bad of [
        null,
        undefined,
        'p',
        {},
        { name: 'p' },
        { name: '', version: 1 },
        { name: 'p', version: 0 },
        { name: 'p', version: '1' },
        { name: 'p', version: 1, nme: 'p' },
      ])
        await expect(deleteReadModel(store, bad as never), JSON.stringify(bad)).rejects.toMatchObject({
          code: expect.stringMatching(/^invalid-(argument|name)$/),
        })
      await store.close()
      await expect(listReadModels(store)).rejects.toMatchObject({ code: 'closed' })
      await expect(deleteReadModel(store, { name: 'p', version: 1 })).rejects.toMatchObject({ code: 'closed' })
    })

    test.runIf(onDevice)('one that is damaged is listed without a position, and can be deleted', async () => {
      const store = await opened()
      await runProjection(store, model('p'))
      const database = `${databaseOf(store.name)}:p@1`
      await withDatabase(database, async (open) => {
        await settled(open.transaction('tidemark:state', 'readwrite').objectStore('tidemark:state').clear())
      })
      expect(await listReadModels(store)).toMatchObject([
        { name: 'p', position: undefined, deadLetterCount: undefined },
      ])
      await deleteReadModel(store, { name: 'p', version: 1 })
      expect(await listReadModels(store)).toEqual([])
    })

    test.runIf(onDevice)('rows of another log count as none', async () => {
      const store = await opened()
      await store.append('a', events.Added({ n: 1 }))
      await runProjection(store, model('p'))
      await withDatabase(`${databaseOf(store.name)}:p@1`, async (database) => {
        const states = database.transaction('tidemark:state', 'readwrite').objectStore('tidemark:state')
        const state = (await settled(states.get('state'))) as object
        await settled(states.put({ ...state, log: 'another' }))
      })
      expect(await listReadModels(store)).toMatchObject([{ name: 'p', position: 0 }])
    })

    test.runIf(onDevice)('event stores, by the names that they were opened with', async () => {
      const suffix = `${Math.random()}`
      const names = [`list:a%3A${suffix}`, `list ä ${suffix}`, `list%${suffix}`]
      for (const name of names) await opened(name)
      await runProjection(stores[0] as TidemarkStore<Event>, model('p'))
      await withDatabase(`other-${suffix}`, async () => {})
      await withDatabase(`tidemark::healing-${suffix}`, async () => {})
      const listed = await listEventStores()
      expect(listed.filter((name) => name.includes(suffix))).toEqual([...names].sort())
      await stores.splice(1, 1)[0]?.close()
      await deleteEventStore(names[1] as string)
      expect(await listEventStores()).not.toContain(names[1])
    })
  })
}
