/** `tidemark/testing`: contract suites for backends. */
export { eventStoreContract, type ContractSubject } from './contract/event-store.js'
export { checkpointStoreContract, coordinatorContract, type PortSubject } from './contract/ports.js'
export type { ContractCase } from './contract/assert.js'
