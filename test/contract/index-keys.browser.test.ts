import { indexKeysContract } from './index-keys.js'

indexKeysContract()
