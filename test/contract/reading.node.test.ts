import { openEventStore } from 'tidemark'
import { openEventStore as openMemory } from 'tidemark/memory'
import { fakeIndexedDB } from '../support/fake-indexeddb.js'
import { readingContract } from './reading.js'

fakeIndexedDB()

readingContract({ name: 'memory', shared: false, open: (name, options) => openMemory({ name, ...options }) })
readingContract({ name: 'fake-indexeddb', shared: true, open: (name, options) => openEventStore({ name, ...options }) })
