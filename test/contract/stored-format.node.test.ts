import 'fake-indexeddb/auto'
import { storedFormatContract } from './stored-format.js'

storedFormatContract()
