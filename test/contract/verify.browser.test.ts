import { verifyContract } from './verify.js'

verifyContract()
