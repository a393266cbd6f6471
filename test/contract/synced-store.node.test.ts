import { openSyncedStore } from 'tidemark/sync'
import { openSyncedStore as openMemory } from 'tidemark/memory'
import { fakeIndexedDB } from '../support/fake-indexeddb.js'
import { syncedStoreContract } from './synced-store.js'

fakeIndexedDB()

const url = 'http://127.0.0.1:9/'
let count = 0
syncedStoreContract('memory', () => ({
  isOnDevice: false,
  open: (options) => openMemory({ name: 'contract', url, ...options }),
}))
syncedStoreContract('fake-indexeddb', () => {
  const name = `contract-${(count += 1)}`
  return { isOnDevice: true, open: (options) => openSyncedStore({ name, url, ...options }) }
})
