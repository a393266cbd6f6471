import 'fake-indexeddb/auto'
import { compactContract } from './compact.js'

compactContract()
