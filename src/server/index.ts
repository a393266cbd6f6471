/**
 * `tidemark/server`: the server of synced stores, `Request` in and `Response` out, over any log store. Runs wherever
 * `fetch` is known: Node, Deno, Bun, workerd, a browser.
 */
export { serverLog, type LogTail, type PullRequest, type PushSession, type ServerLog } from './server-log.js'
export { syncHandler, type AcceptSession, type Opened, type SyncHandlerOptions } from './sync-handler.js'
export type { Origins } from './cors.js'
export type { Refusal } from './check-push.js'
export { RequestRefusedError } from './request-refused.js'

// Where a log is kept
export type { DecisionQuestions, LastEvent, LogDecision, LoggedCommit, LoggedEvent, LogStore } from './log-store.js'
export { memoryLogStore, type KeptVerdict, type LogBackup, type MemoryLogStore } from './memory-log-store.js'

// What goes over the wire
export type {
  CommitAnswer,
  FinalVerdict,
  LogInfo,
  ProblemCode,
  PushAnswer,
  PushBody,
  SyncLimits,
  Verdict,
  WireCommit,
  WireEvent,
  WireFilter,
  WireLine,
  WireProblem,
} from '../wire/protocol.js'
