/** What `scripts/ledger.mjs` needs. */
export { engines } from './engines.js'
export { keepLedger } from './ledger.js'
export { ledgerTable } from './table.js'
