import { hostileHintsContract } from './hostile-hints.js'

hostileHintsContract()
