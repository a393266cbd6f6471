import { expect, test, vi } from 'vitest'
import {
  defineEvents,
  defineProjection,
  deleteReadModel,
  listEventStores,
  listReadModels,
  openEventStore,
  runProjection,
  table,
  type TidemarkStore,
} from 'tidemark'
import { openEventStore as openMemory } from 'tidemark/memory'
import { fakeIndexedDB } from '../support/fake-indexeddb.js'
import { listContract } from './list.js'

fakeIndexedDB()

listContract({ name: 'memory', onDevice: false, open: (name) => openMemory({ name }) as Promise<TidemarkStore<any>> })
listContract({
  name: 'fake-indexeddb',
  onDevice: true,
  open: (name) => openEventStore({ name }) as Promise<TidemarkStore<any>>,
})

test('an engine that does not list its databases says so, and an open store is not harmed', async () => {
  const store = await openEventStore({ name: 'unlisted' })
  vi.stubGlobal('indexedDB', { open: indexedDB.open.bind(indexedDB) })
  await expect(listEventStores()).rejects.toMatchObject({ code: 'storage-unavailable' })
  await expect(listReadModels(store)).rejects.toMatchObject({ code: 'storage-unavailable' })
  vi.stubGlobal('indexedDB', { databases: () => Promise.reject(new DOMException('no', 'UnknownError')) })
  await expect(listEventStores()).rejects.toMatchObject({ code: 'storage-failed' })
  vi.stubGlobal('indexedDB', undefined)
  await expect(listEventStores()).rejects.toMatchObject({ code: 'storage-unavailable' })
  vi.unstubAllGlobals()
  await store.close()
})

test('what a lock says of other tabs is believed, and a lock that another tab holds keeps the rows', async () => {
  const store = await openEventStore({ name: 'locked' })
  const model = defineProjection(defineEvents<{ type: 'A'; data: null }>(), {
    name: 'p',
    tables: { t: table<{ id: number }>({ key: 'id' }) },
    on: { A() {} },
  })
  await runProjection(store, model)
  const name = 'tidemark:locked:p@1:in-use'
  const locks = {
    held: [name],
    query: async () => ({ held: locks.held.map((each) => ({ name: each, mode: 'shared' })), pending: [] }),
    request: async (asked: string, _options: object, work: (lock: object | null) => unknown) =>
      work(locks.held.includes(asked) ? null : {}),
  }
  vi.stubGlobal('navigator', { locks })
  try {
    expect(await listReadModels(store)).toMatchObject([{ name: 'p', inUse: true }])
    const stored = { name: 'p', version: 1 }
    await expect(deleteReadModel(store, stored)).rejects.toMatchObject({ code: 'already-running', projector: 'p@1' })
    expect(await listReadModels(store)).toHaveLength(1)
    locks.held = []
    expect(await listReadModels(store)).toMatchObject([{ name: 'p', inUse: false }])
    await deleteReadModel(store, stored)
    expect(await listReadModels(store)).toEqual([])
  } finally {
    vi.unstubAllGlobals()
    await store.close()
  }
})
