// Other libraries doing the same work, written by hand as well as they let us. Installed apart: see bench/README.md.
import { dexie } from './dexie.mjs'
import { pouchdb } from './pouchdb.mjs'
import { pouchdbSync } from './pouchdb-sync.mjs'
import { rxdb } from './rxdb.mjs'
import { rxdbSync } from './rxdb-sync.mjs'
import { tinybase } from './tinybase.mjs'

/** @type {readonly import('../cases/system.ts').System[]} */
export const peers = [dexie, rxdb, pouchdb, tinybase]

/** @type {readonly import('../cases/sync-peer.ts').SyncPeer[]} */
export const syncPeers = [rxdbSync, pouchdbSync]
