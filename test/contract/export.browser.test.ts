import { exportContract } from './export.js'

exportContract()
