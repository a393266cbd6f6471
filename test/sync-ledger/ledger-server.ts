/** What the rounds of a ledger need of a server, whatever keeps its logs. */
import type { Sabotage } from './sabotaged-log.js'

/** Ends the server by itself: before its nth commit is in the file, or after it. */
export interface KillAt {
  readonly when: 'before' | 'after'
  readonly commit: number
}

export interface LedgerServer {
  /** Of its logs: `${url}/logs/<name>`. Stays over restarts. */
  readonly url: string
  /** Of this process; `undefined` while there is none. */
  readonly pid: number | undefined
  /** Starts the process. Does nothing if it runs. */
  start(options?: { readonly killAt?: KillAt; readonly sabotage?: Sabotage }): Promise<void>
  /** Ends the process by SIGKILL, and resolves when it has ended. */
  kill(): Promise<void>
  /** Resolves when the process has ended, by itself or by `kill`. */
  ended(): Promise<void>
  /** Copies the files, also while they are written, as an operator does. */
  backup(): Promise<LedgerBackup>
  /** Ends the process, puts the copy in the place of the files, and starts it again. */
  restore(backup: LedgerBackup, options?: Parameters<LedgerServer['start']>[0]): Promise<void>
  /** Ends the process and removes its files. */
  dispose(): Promise<void>
}

export interface LedgerBackup {
  readonly folder: string
}
