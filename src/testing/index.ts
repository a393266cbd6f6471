/** `tidemark/testing`: contract suites for backends, and time under control. Needs no test runner. */

// What every backend must do
export type { ContractCase } from './contract/assert.js'
export { eventStoreContract, type ContractSubject } from './contract/event-store.js'
export { checkpointStoreContract, coordinatorContract, type PortSubject } from './contract/ports.js'

// Time
export { virtualClock, type VirtualClock } from './virtual-clock.js'
