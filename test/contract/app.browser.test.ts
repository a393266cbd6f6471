import { openEventStore as openMemory } from 'tidemark/memory'
import { appContract } from './app.js'

appContract({ name: 'memory', open: openMemory, shared: false })
appContract({ name: 'IndexedDB', shared: true })
