import { openSyncedStore } from 'tidemark/sync'
import { openSyncedStore as openMemory } from 'tidemark/memory'
import { fakeIndexedDB } from '../support/fake-indexeddb.js'
import { appendContract } from './append.js'
import { asLocal } from './confirming.js'
import { eventStoreContract } from './event-store.js'
import { largeOrImported, largeStoreCases } from './synced-as-local.js'

fakeIndexedDB()

const url = 'http://127.0.0.1:9/'
let count = 0
eventStoreContract(
  'synced, memory',
  async () => ({ store: asLocal(await openMemory({ name: 'contract', url })) }),
  largeStoreCases,
)
eventStoreContract(
  'synced, fake-indexeddb',
  async () => {
    const name = `synced-${(count += 1)}`
    const open = async () => asLocal(await openSyncedStore({ name, url }))
    return { store: await open(), another: open }
  },
  largeStoreCases,
)
appendContract(
  'synced, memory',
  async (options) => asLocal(await openMemory({ name: 'append', url, ...options })),
  largeOrImported,
)
appendContract(
  'synced, fake-indexeddb',
  async (options) => asLocal(await openSyncedStore({ name: `synced-append-${(count += 1)}`, url, ...options })),
  largeOrImported,
)
