import { compactContract } from './compact.js'

compactContract()
