import 'fake-indexeddb/auto'
import { openEventStore } from 'tidemark'
import { openEventStore as openMemory } from 'tidemark/memory'
import { observeContract } from './observe.js'

observeContract({ name: 'memory', onDevice: false, open: (name, options) => openMemory({ name, ...options }) })
observeContract({
  name: 'fake-indexeddb',
  onDevice: true,
  open: (name, options) => openEventStore({ name, ...options }),
})
