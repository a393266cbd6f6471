import { damagedOutboxContract } from './damaged-outbox.js'

damagedOutboxContract()
