import { openSyncedStore } from 'tidemark/sync'
import { syncedStoreContract } from './synced-store.js'

syncedStoreContract('IndexedDB', () => {
  const name = `contract-${crypto.randomUUID()}`
  return { isOnDevice: true, open: (options) => openSyncedStore({ name, url: 'http://127.0.0.1:9/', ...options }) }
})
