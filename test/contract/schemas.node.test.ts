import { openEventStore } from 'tidemark'
import { openEventStore as openMemory } from 'tidemark/memory'
import { fakeIndexedDB } from '../support/fake-indexeddb.js'
import { schemaContract } from './schemas.js'

fakeIndexedDB()

schemaContract({ name: 'memory', open: (name, events) => openMemory({ name, events }) })
schemaContract({ name: 'fake-indexeddb', open: (name, events) => openEventStore({ name, events }) })
