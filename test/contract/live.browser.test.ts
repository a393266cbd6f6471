import { openEventStore } from 'tidemark'
import { liveSurfaceContract } from './projection/live-surface.js'
import { events } from './projection/model.js'

liveSurfaceContract({
  name: 'IndexedDB',
  shared: true,
  open: (name: string, options = {}) => openEventStore({ name, events, durability: 'relaxed' as const, ...options }),
})
