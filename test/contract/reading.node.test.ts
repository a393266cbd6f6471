import 'fake-indexeddb/auto'
import { openEventStore } from 'tidemark'
import { openEventStore as openMemory } from 'tidemark/memory'
import { readingContract } from './reading.js'

readingContract({ name: 'memory', shared: false, open: (name, options) => openMemory({ name, ...options }) })
readingContract({ name: 'fake-indexeddb', shared: true, open: (name, options) => openEventStore({ name, ...options }) })
