import 'fake-indexeddb/auto'
import { damagedOutboxContract } from './damaged-outbox.js'

damagedOutboxContract()
