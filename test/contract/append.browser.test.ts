import { openEventStore } from 'tidemark'
import { appendContract } from './append.js'

let count = 0
appendContract('IndexedDB', (options) =>
  openEventStore({ name: `append-${(count += 1)}-${Math.random()}`, ...options }),
)
