import { editedRecordsContract } from './edited-records.js'

editedRecordsContract()
