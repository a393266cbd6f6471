import { openEventStore } from 'tidemark'
import { openEventStore as openMemory } from 'tidemark/memory'
import { fakeIndexedDB } from '../support/fake-indexeddb.js'
import { observeContract } from './observe.js'

fakeIndexedDB()

observeContract({ name: 'memory', onDevice: false, open: (name, options) => openMemory({ name, ...options }) })
observeContract({
  name: 'fake-indexeddb',
  onDevice: true,
  open: (name, options) => openEventStore({ name, ...options }),
})
