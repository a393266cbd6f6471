import 'fake-indexeddb/auto'
import { storedFormatContract, storedModelsContract } from './stored-format.js'

storedFormatContract()
storedModelsContract()
