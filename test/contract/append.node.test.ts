import 'fake-indexeddb/auto'
import { openEventStore } from 'tidemark'
import { openEventStore as openMemory } from 'tidemark/memory'
import { appendContract } from './append.js'

let count = 0
appendContract('memory', (options) => openMemory({ name: 'append', ...options }))
appendContract('fake-indexeddb', (options) => openEventStore({ name: `append-${(count += 1)}`, ...options }))
