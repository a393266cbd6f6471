import { openEventStore } from 'tidemark'
import { readingContract } from './reading.js'

readingContract({ name: 'IndexedDB', shared: true, open: (name, options) => openEventStore({ name, ...options }) })
