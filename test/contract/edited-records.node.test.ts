import { fakeIndexedDB } from '../support/fake-indexeddb.js'
import { editedRecordsContract } from './edited-records.js'

fakeIndexedDB()

editedRecordsContract()
