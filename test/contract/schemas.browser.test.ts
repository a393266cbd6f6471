import { openEventStore } from 'tidemark'
import { schemaContract } from './schemas.js'

schemaContract({ name: 'IndexedDB', open: (name, events) => openEventStore({ name, events, durability: 'relaxed' }) })
