import { fakeIndexedDB } from '../support/fake-indexeddb.js'
import { damagedOutboxContract } from './damaged-outbox.js'

fakeIndexedDB()

damagedOutboxContract()
