import { backupContract } from './backup.js'

backupContract()
