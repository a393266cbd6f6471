import { openEventStore, type TidemarkStore } from 'tidemark'
import { listContract } from './list.js'

listContract({
  name: 'IndexedDB',
  onDevice: true,
  open: (name) => openEventStore({ name }) as Promise<TidemarkStore<any>>,
})
