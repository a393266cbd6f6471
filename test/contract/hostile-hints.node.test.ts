import { fakeIndexedDB } from '../support/fake-indexeddb.js'
import { hostileHintsContract } from './hostile-hints.js'

fakeIndexedDB()

hostileHintsContract()
