// What stores and read models are to their origin: which databases, in which version, and who waits for whom.
import { expect, test } from 'vitest'
import { defineProjection, openEventStore, openReadModel, startProjection, table } from 'tidemark'
import { added, events, newName } from '../read-model/support.js'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'

fakeIndexedDB()

const counting = (version: number) =>
  defineProjection(events, {
    name: 'counting',
    version,
    tables: { counts: table<{ to: string; times: number }>({ key: 'to' }) },
    fold: {
      counts: {
        key: (event) => (event.type === 'Added' ? event.data.to : undefined),
        evolve: (row, event) =>
          event.type === 'Added' ? { to: event.data.to, times: (row?.times ?? 0) + 1 } : (row ?? null),
      },
    },
  })

/** The databases of a store, with their versions. */
const databasesOf = async (store: string) =>
  (await indexedDB.databases())
    .filter(({ name = '' }) => name.includes(store))
    .map(({ name = '', version }) => [name.replace(store, 'STORE'), version])

test('H39, H42, H45: one database for the log and one for each version of a read model, all of one version for good, and closing leaves none of them in use', async () => {
  const name = newName()
  for (const _time of ['made', 'opened again']) {
    const store = await openEventStore({ name, events })
    await store.append({ stream: 's', events: [added()] })
    const views = [
      await openReadModel(store, counting(1)),
      await openReadModel(store, counting(2)),
      await openReadModel(store, counting(2)),
    ]
    expect((await databasesOf(name)).sort()).toEqual([
      ['tidemark:STORE', 1],
      ['tidemark:STORE:counting@1', 1],
      ['tidemark:STORE:counting@2', 1],
    ])
    for (const view of views) await view.close()
    await store.close()
  }
  for (const database of ['', ':counting@1', ':counting@2']) {
    const blocked = await new Promise<boolean>((resolve, reject) => {
      const request = indexedDB.deleteDatabase(`tidemark:${name}${database}`)
      request.onblocked = () => resolve(true)
      request.onsuccess = () => resolve(false)
      request.onerror = () => reject(request.error)
    })
    expect(blocked, database).toBe(false)
  }
})

test('H62: a handler may append to the store of its own projection, and starts another one: nothing waits for itself', async () => {
  const store = await openEventStore({ name: newName(), events })
  const other = counting(1)
  const handles = new Set<ReturnType<typeof startProjection>>()
  const chain = defineProjection(events, {
    name: 'chain',
    tables: { links: table<{ position: number }>({ key: 'position' }) },
    on: {
      Added: async ({ data, position }, { links }) => {
        if (data.amount > 0) await store.append({ stream: 'next', events: [added('a', data.amount - 1)] })
        handles.add(startProjection(store, other))
        links.put({ position })
      },
    },
  })
  handles.add(startProjection(store, chain))
  await store.append({ stream: 'first', events: [added('a', 3)] })
  const view = await openReadModel(store, chain)
  await expect.poll(async () => (await view.links.getAll()).map(({ position }) => position)).toEqual([1, 2, 3, 4])
  await expect.poll(() => store.head()).toBe(4)
  await view.close()
  for (const handle of handles) await handle.stop()
  await store.close()
})
