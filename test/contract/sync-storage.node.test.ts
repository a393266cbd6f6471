import { MemoryLog } from '../../src/log/memory/memory-log.js'
import { anyEvents } from '../../src/events/catalogue-core.js'
import { MemorySyncStorage } from '../../src/sync/memory/memory-sync-storage.js'
import { fakeIndexedDB } from '../support/fake-indexeddb.js'
import { deviceSubject } from './synced-subject.js'
import { syncStorageContract } from './sync-storage.js'

fakeIndexedDB()

syncStorageContract('memory', async () => {
  const log = new MemoryLog({ catalogue: anyEvents, codec: undefined })
  const storage = new MemorySyncStorage(log, 'first')
  return {
    storage,
    events: async () => (await log.readPage({ limit: 1000 })).events as never,
    identity: async () => storage.identity,
    close: async () => {},
  }
})

syncStorageContract('fake-indexeddb', deviceSubject)
