import { openSyncedStore } from '../../../src/sync/index.js'
import { overlayKept } from './overlay-kept.js'
import { overlayModel, type OverlayBackend } from './overlay-model.js'
import { overlayViews } from './overlay-views.js'

const device: OverlayBackend = { name: 'IndexedDB', shared: true, open: (options) => openSyncedStore(options) }

overlayViews(device)
overlayKept(device)
overlayModel(device, [1, 2, 3], 30)
