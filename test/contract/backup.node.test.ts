import { fakeIndexedDB } from '../support/fake-indexeddb.js'
import { backupContract } from './backup.js'

fakeIndexedDB()

backupContract()
