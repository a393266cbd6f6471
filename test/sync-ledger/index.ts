/** What `scripts/sync-ledger.mjs` needs. */
export { engines } from '../ledger/engines.js'
export { servers } from './ledger-server.js'
export { sabotagedClient } from './sabotaged-client.js'
export { keepSyncLedger } from './sync-ledger.js'
export { neverHappened, syncTables } from './sync-table.js'
