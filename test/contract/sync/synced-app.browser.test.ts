import { syncedAppContract } from './synced-app.js'

syncedAppContract({ name: 'IndexedDB' })
