import 'fake-indexeddb/auto'
import { expect, test, vi } from 'vitest'
import { listEventStores, listReadModels, openEventStore, type TidemarkStore } from 'tidemark'
import { openEventStore as openMemory } from 'tidemark/memory'
import { listContract } from './list.js'

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
