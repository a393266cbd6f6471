/** The peers, where they are installed; see `bench/driver/serve.mjs`. They are not type-checked, since the root install has not their types. */
declare module 'bench:peers' {
  export const peers: readonly import('../cases/system.js').System[]
  export const syncPeers: readonly import('../cases/sync-peer.js').SyncPeer[]
}
