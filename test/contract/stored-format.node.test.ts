import { fakeIndexedDB } from '../support/fake-indexeddb.js'
import { storedFormatContract, storedModelsContract } from './stored-format.js'

fakeIndexedDB()

storedFormatContract()
storedModelsContract()
