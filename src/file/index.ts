/** `tidemark/file`: what a server needs in Node, namely its log in a file, and a listener for `node:http`. */
export { LogFileDamagedError, LogFileInUseError } from './file-errors.js'
export { openFileLogStore, type FileLogStoreOptions } from './file-log-store.js'
export { nodeListener, type NodeListenerOptions } from './node-listener.js'
export type { FileLogStore } from './open-file-log.js'
export type { CutTail } from './log-file.js'
export type { LastEvent, LogDecision, LoggedCommit, LoggedEvent, LogStore } from '../server/log-store.js'
export type { FinalVerdict } from '../wire/protocol.js'
