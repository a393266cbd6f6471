import { openEventStore } from 'tidemark'
import { openEventStore as openInMemory, openSyncedStore as openSyncedInMemory } from 'tidemark/memory'
import { openSyncedStore } from 'tidemark/sync'
import { fakeIndexedDB } from '../support/fake-indexeddb.js'
import { caughtUpContract, localSubject, syncedSubject } from './caught-up.js'

fakeIndexedDB()

const url = 'http://127.0.0.1:9/'
const nameOf = () => `caught-up-${crypto.randomUUID()}`
caughtUpContract('local, memory', async () => localSubject([(await openInMemory({ name: nameOf() })) as never]), 1)
caughtUpContract('synced, memory', async () => syncedSubject([await openSyncedInMemory({ name: nameOf(), url })]), 1)
caughtUpContract(
  'local, fake-indexeddb',
  async () => {
    const name = nameOf()
    return localSubject([await openEventStore({ name }), await openEventStore({ name })])
  },
  2,
)
caughtUpContract(
  'synced, fake-indexeddb',
  async () => {
    const name = nameOf()
    return syncedSubject([await openSyncedStore({ name, url }), await openSyncedStore({ name, url })])
  },
  2,
)
