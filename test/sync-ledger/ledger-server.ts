/** What the rounds of a ledger need of a server, whatever keeps its logs. */
import type { CutWhen } from '../support/postgres/cutting-proxy.js'
import type { Sabotage } from './sabotaged-log.js'

/** Ends the server by itself: before its nth commit is stored, or after it. */
export interface KillAt {
  readonly when: 'before' | 'after'
  readonly commit: number
}

/** What it may be restored from; a server takes the way that it has. */
export interface BackupWay {
  /** `'dump'`: what a program of the database wrote; `'copy'`: a copy of its files. */
  readonly by: 'dump' | 'copy'
  /** Whether the process that serves goes on meanwhile. */
  readonly isServed: boolean
}

export interface LedgerServer {
  /** Of its logs: `${url}/logs/<name>`. Stays over restarts. */
  readonly url: string
  /** Of the process that serves; `undefined` while there is none. */
  readonly pid: number | undefined
  /** Starts the process. Does nothing if it runs. */
  start(): Promise<void>
  /** From now on commits are counted, of all logs; without a place it is not ended any more. @param log any of its logs */
  arm(killAt: KillAt | undefined, log: string): Promise<void>
  /** Ends the process by SIGKILL, and resolves when it has ended. */
  kill(): Promise<void>
  /** Resolves when the process has ended: `true` if it was not by {@link kill}. */
  ended(): Promise<boolean>
  backup(way: BackupWay): Promise<LedgerBackup>
  /** Puts what was kept in the place of what is there, with the server running afterwards. */
  restore(backup: LedgerBackup): Promise<void>
  /** Where the logs are in a database of their own. */
  readonly database?: LedgerDatabase
  /** Ends the process and removes its files. */
  dispose(): Promise<void>
}

export interface LedgerBackup {
  readonly folder: string
  readonly way: BackupWay
}

export interface LedgerDatabase {
  /** A crash: it is there again after that many ms. */
  crash(away: number): Promise<void>
  /** Cuts the connection over which the `count`th piece of data goes to the database from now on. */
  cut(count: number, when: CutWhen): void
}

export const servers = ['file', 'durable-object', 'postgres'] as const

export type ServerKind = (typeof servers)[number]

export interface ServerOptions {
  readonly sabotage?: Sabotage | undefined
}
