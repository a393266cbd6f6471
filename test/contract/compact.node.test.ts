import { fakeIndexedDB } from '../support/fake-indexeddb.js'
import { compactContract } from './compact.js'

fakeIndexedDB()

compactContract()
