import { deviceSubject } from './synced-subject.js'
import { syncStorageContract } from './sync-storage.js'

syncStorageContract('IndexedDB', deviceSubject)
