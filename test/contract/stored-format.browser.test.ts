import { storedFormatContract, storedModelsContract } from './stored-format.js'

storedFormatContract()
storedModelsContract()
