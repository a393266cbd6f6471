import { openEventStore } from 'tidemark'
import { observeContract } from './observe.js'

observeContract({ name: 'IndexedDB', onDevice: true, open: (name, options) => openEventStore({ name, ...options }) })
