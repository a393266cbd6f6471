import 'fake-indexeddb/auto'
import { editedRecordsContract } from './edited-records.js'

editedRecordsContract()
