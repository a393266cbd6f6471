import { openEventStore } from 'tidemark'
import { stressContract, type AccountEvent } from './stress.js'

let count = 0
stressContract('IndexedDB', async (instances) => {
  const name = `stress-${(count += 1)}-${Math.random()}`
  return Promise.all(Array.from({ length: instances }, () => openEventStore<AccountEvent>({ name })))
})
