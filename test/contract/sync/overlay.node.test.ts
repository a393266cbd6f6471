import 'fake-indexeddb/auto'
import { openSyncedStore as openMemory } from 'tidemark/memory'
import { openSyncedStore } from '../../../src/sync/index.js'
import { overlayModel } from './overlay-model.js'

const seeds = Array.from({ length: Number(process.env.SEEDS ?? 6) }, (_, at) => Number(process.env.SEED ?? 1) + at)

overlayModel({ name: 'memory', shared: false, open: (options) => openMemory(options) }, seeds, 60)
overlayModel(
  { name: 'fake-indexeddb', shared: true, open: (options) => openSyncedStore(options) },
  seeds.slice(0, 3),
  40,
)
