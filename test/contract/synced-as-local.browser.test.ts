import { openSyncedStore } from 'tidemark/sync'
import { appendContract } from './append.js'
import { asLocal } from './confirming.js'
import { eventStoreContract } from './event-store.js'
import { largeOrImported, largeStoreCases, moreSeeds } from './synced-as-local.js'

const url = 'http://127.0.0.1:9/'
const nameOf = () => `synced-${crypto.randomUUID()}`
eventStoreContract(
  'synced, IndexedDB',
  async () => {
    const name = nameOf()
    const open = async () => asLocal(await openSyncedStore({ name, url }))
    return { store: await open(), another: open }
  },
  largeStoreCases,
)
appendContract(
  'synced, IndexedDB',
  async (options) => asLocal(await openSyncedStore({ name: nameOf(), url, ...options })),
  [...largeOrImported, ...moreSeeds],
)
