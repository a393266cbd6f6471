import { openEventStore } from 'tidemark/memory'
import { appContract } from './app.js'

appContract({ name: 'memory', open: openEventStore, shared: false })
