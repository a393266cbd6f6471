import 'fake-indexeddb/auto'
import { exportContract } from './export.js'

exportContract()
