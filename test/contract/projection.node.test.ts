import 'fake-indexeddb/auto'
import { projectionContract } from './projection.js'

projectionContract()
