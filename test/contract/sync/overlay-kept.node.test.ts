import { openSyncedStore as openMemory } from 'tidemark/memory'
import { openSyncedStore } from '../../../src/sync/index.js'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'
import { overlayKept } from './overlay-kept.js'

fakeIndexedDB()

overlayKept({ name: 'memory', shared: false, open: (options) => openMemory(options) })
overlayKept({ name: 'fake-indexeddb', shared: true, open: (options) => openSyncedStore(options) })
