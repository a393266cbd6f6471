import 'fake-indexeddb/auto'
import { openEventStore } from 'tidemark'
import { openEventStore as openMemory } from 'tidemark/memory'
import { schemaContract } from './schemas.js'

schemaContract({ name: 'memory', open: (name, events) => openMemory({ name, events }) })
schemaContract({ name: 'fake-indexeddb', open: (name, events) => openEventStore({ name, events }) })
