import { fakeIndexedDB } from '../support/fake-indexeddb.js'
import { exportContract } from './export.js'

fakeIndexedDB()

exportContract()
