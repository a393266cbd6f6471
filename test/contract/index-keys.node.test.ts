import { fakeIndexedDB } from '../support/fake-indexeddb.js'
import { indexKeysContract } from './index-keys.js'

fakeIndexedDB()

indexKeysContract()
