/** The engines that the ledger is kept for. */
import type { LedgerEngine } from './browser.js'
import { chromiumOn } from './chromium.js'
import { firefox } from './firefox.js'
import { webkit } from './webkit.js'

export const engines: readonly LedgerEngine[] = [chromiumOn('leveldb'), chromiumOn('sqlite'), firefox, webkit]
