/** What `scripts/ledger.mjs` and `scripts/full-disk.mjs` need. */
export { engines } from './engines.js'
export { fillDisk, situationsOf } from './full-disk.js'
export { keepLedgers } from './ledger.js'
export { ledgerTable, ledgerTotals } from './table.js'
