import 'fake-indexeddb/auto'
import { openEventStore } from 'tidemark'
import { openEventStore as openMemory } from 'tidemark/memory'
import { overlayModel } from './overlay-model.js'

const seeds = Array.from({ length: Number(process.env.SEEDS ?? 6) }, (_, at) => Number(process.env.SEED ?? 1) + at)

overlayModel({ name: 'memory', shared: false, open: (name) => openMemory({ name }) }, seeds, 60)
overlayModel(
  { name: 'fake-indexeddb', shared: true, open: (name) => openEventStore({ name, durability: 'relaxed' }) },
  seeds.slice(0, 3),
  40,
)
