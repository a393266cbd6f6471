import 'fake-indexeddb/auto'
import { backupContract } from './backup.js'

backupContract()
