import { openEventStore as openMemory } from 'tidemark/memory'
import { fakeIndexedDB } from '../support/fake-indexeddb.js'
import { appContract } from './app.js'

fakeIndexedDB()

appContract({ name: 'memory', open: openMemory, shared: false })
appContract({ name: 'fake-indexeddb', shared: true })
