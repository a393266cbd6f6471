/**
 * `tidemark/testing`: contract suites for backends, given-when-then, time and faults under control. Needs no test
 * runner.
 */

// What every backend must do
export type { ContractCase } from './contract/contract-case.js'
export { eventStoreContract, type ContractSubject } from './contract/event-store.js'
export { checkpointStoreContract, coordinatorContract, type PortSubject } from './contract/ports.js'
export { logStoreContract, type LogStoreSubject } from './contract/log-store.js'
export type { ServerSubject } from './contract/server/contract-client.js'
export { serverContract } from './contract/server/server-contract.js'

// Commands and projections of an app
export { collector, type Collector } from './collector.js'
export { given, type Given, type WhenCommand, type WhenProjected } from './scenario.js'

// Apps that sync
export {
  testSyncServer,
  type Partition,
  type TestConnection,
  type TestFailure,
  type TestRequest,
  type TestSyncServer,
  type TestSyncServerOptions,
} from './sync-server.js'

// Time and faults
export {
  faulty,
  type FaultOptions,
  type Faults,
  type FaultSide,
  type FaultyCall,
  type ScriptedFault,
} from './faulty.js'
export { virtualClock, type VirtualClock } from './virtual-clock.js'
