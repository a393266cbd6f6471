import { openEventStore } from 'tidemark'
import { openEventStore as openMemory } from 'tidemark/memory'
import { fakeIndexedDB } from '../support/fake-indexeddb.js'
import { liveSurfaceContract } from './projection/live-surface.js'
import { events } from './projection/model.js'

fakeIndexedDB()

for (const backend of [
  { name: 'memory', shared: false, open: (name: string, options = {}) => openMemory({ name, events, ...options }) },
  {
    name: 'fake-indexeddb',
    shared: true,
    open: (name: string, options = {}) => openEventStore({ name, events, durability: 'relaxed', ...options }),
  },
] as const) {
  liveSurfaceContract(backend)
}
