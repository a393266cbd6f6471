import 'fake-indexeddb/auto'
import { indexKeysContract } from './index-keys.js'

indexKeysContract()
