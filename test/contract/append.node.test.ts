import { openEventStore } from 'tidemark'
import { openEventStore as openMemory } from 'tidemark/memory'
import { fakeIndexedDB } from '../support/fake-indexeddb.js'
import { appendContract } from './append.js'

fakeIndexedDB()

let count = 0
appendContract('memory', (options) => openMemory({ name: 'append', ...options }))
appendContract('fake-indexeddb', (options) => openEventStore({ name: `append-${(count += 1)}`, ...options }))
