import { projectionContract } from './projection.js'

projectionContract()
