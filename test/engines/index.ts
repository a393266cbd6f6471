/** The engines that the suites run on. */
import { chromiumOn } from './chromium.js'
import type { Engine } from './engine.js'
import { firefox } from './firefox.js'
import { webkit } from './webkit.js'

export const engines: readonly Engine[] = [chromiumOn('leveldb'), chromiumOn('sqlite'), firefox, webkit]
