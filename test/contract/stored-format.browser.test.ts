import { storedFormatContract } from './stored-format.js'

storedFormatContract()
