import { openSyncedStore as openMemory } from 'tidemark/memory'
import { openSyncedStore } from '../../../src/sync/index.js'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'
import { overlayModel, type OverlayBackend } from './overlay-model.js'
import { overlayViews } from './overlay-views.js'

fakeIndexedDB()

const seeds = Array.from({ length: Number(process.env.SEEDS ?? 6) }, (_, at) => Number(process.env.SEED ?? 1) + at)

const memory: OverlayBackend = { name: 'memory', shared: false, open: (options) => openMemory(options) }
const device: OverlayBackend = { name: 'fake-indexeddb', shared: true, open: (options) => openSyncedStore(options) }

overlayViews(memory)
overlayViews(device)
overlayModel(memory, seeds, 60)
overlayModel(device, seeds.slice(0, 3), 40)
