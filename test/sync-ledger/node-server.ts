/** A server of a ledger that is a process of Node: all but what keeps its logs. */
import type { BackupWay, KillAt, LedgerBackup, LedgerServer } from './ledger-server.js'
import type { ServerProcess } from './server-process.js'

export abstract class NodeServer implements LedgerServer {
  readonly #process: ServerProcess

  constructor(process: ServerProcess) {
    this.#process = process
  }

  get url(): string {
    return this.#process.url
  }

  get pid(): number | undefined {
    return this.#process.pid
  }

  start(): Promise<void> {
    return this.#process.start()
  }

  arm(killAt: KillAt | undefined): Promise<void> {
    return this.#process.arm(killAt)
  }

  kill(): Promise<void> {
    return this.#process.kill()
  }

  ended(): Promise<boolean> {
    return this.#process.ended()
  }

  dispose(): Promise<void> {
    return this.#process.dispose()
  }

  abstract backup(way: BackupWay): Promise<LedgerBackup>
  abstract restore(backup: LedgerBackup): Promise<void>
}
