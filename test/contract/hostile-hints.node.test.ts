import 'fake-indexeddb/auto'
import { hostileHintsContract } from './hostile-hints.js'

hostileHintsContract()
