/** The database of a synced store, without the store. */
import { anyEvents } from '../../src/events/catalogue-core.js'
import { indexedDbLog } from '../../src/log/indexeddb/indexeddb-log.js'
import { systemClock } from '../../src/platform/clock.js'
import { IndexedDbSyncStorage } from '../../src/sync/indexeddb/indexeddb-sync-storage.js'
import { syncedDatabase } from '../../src/sync/indexeddb/synced-database.js'
import type { StorageSubject } from './sync-storage.js'

function openDevice(name: string) {
  const kind = syncedDatabase(name, () => {})
  const log = indexedDbLog({
    name,
    catalogue: anyEvents,
    codec: undefined,
    durability: 'relaxed',
    clock: systemClock,
    kind,
  })
  return { log, storage: new IndexedDbSyncStorage(log.connection, name) }
}

let count = 0

export async function deviceSubject(): Promise<StorageSubject> {
  const name = `device-${(count += 1)}-${crypto.randomUUID()}`
  const { log, storage } = openDevice(name)
  const logs = [log]
  return {
    storage,
    another: async () => {
      const other = openDevice(name)
      logs.push(other.log)
      return other.storage
    },
    events: async () => {
      // As the store does, when it notices that the log was taken back.
      log.forget()
      return (await log.readPage({ limit: 1000 })).events as never
    },
    identity: async () => (await storage.load()).state.identity,
    close: async () => {
      for (const each of logs) each.connection.close()
    },
  }
}
