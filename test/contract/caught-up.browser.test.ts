import { openEventStore } from 'tidemark'
import { openSyncedStore } from 'tidemark/sync'
import { caughtUpContract, localSubject, syncedSubject } from './caught-up.js'

const url = 'http://127.0.0.1:9/'
const nameOf = () => `caught-up-${crypto.randomUUID()}`
caughtUpContract(
  'local, IndexedDB',
  async () => {
    const name = nameOf()
    return localSubject([await openEventStore({ name }), await openEventStore({ name })])
  },
  2,
)
caughtUpContract(
  'synced, IndexedDB',
  async () => {
    const name = nameOf()
    return syncedSubject([await openSyncedStore({ name, url }), await openSyncedStore({ name, url })])
  },
  2,
)
