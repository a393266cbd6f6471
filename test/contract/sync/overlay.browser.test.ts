import { openSyncedStore } from '../../../src/sync/index.js'
import { overlayModel, type OverlayBackend } from './overlay-model.js'
import { overlayViews } from './overlay-views.js'

const device: OverlayBackend = { name: 'IndexedDB', shared: true, open: (options) => openSyncedStore(options) }

overlayViews(device)
overlayModel(device, [1, 2, 3], 30)
