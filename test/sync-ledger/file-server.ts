/** The server of a ledger whose logs are in files. */
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BackupWay, LedgerBackup, LedgerServer, ServerOptions } from './ledger-server.js'
import { NodeServer } from './node-server.js'
import { ServerProcess } from './server-process.js'

export async function startFileServer({ sabotage }: ServerOptions = {}): Promise<LedgerServer> {
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-ledger-'))
  const logs = join(folder, 'logs')
  await mkdir(logs)
  const process = await ServerProcess.start({
    TIDEMARK_LEDGER_FOLDER: logs,
    TIDEMARK_LEDGER_SABOTAGE: sabotage ?? '',
  })
  return new FileServer(folder, logs, process)
}

class FileServer extends NodeServer {
  readonly #folder: string
  readonly #logs: string

  constructor(folder: string, logs: string, process: ServerProcess) {
    super(process)
    this.#folder = folder
    this.#logs = logs
  }

  /** Copies the files, also while they are written, as an operator does. */
  async backup(way: BackupWay): Promise<LedgerBackup> {
    const folder = await mkdtemp(join(this.#folder, 'backup-'))
    for (let attempt = 0; ; attempt += 1)
      try {
        // The lock of the process is not a part of the log.
        await cp(this.#logs, folder, { recursive: true, filter: (path) => !path.includes('.log.lock.') })
        return { folder, way }
      } catch (error) {
        // A file was renamed while they were copied.
        if (attempt === 5 || (error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      }
  }

  /** Ends the process, puts the copy in the place of the files, and starts it again. */
  async restore({ folder }: LedgerBackup): Promise<void> {
    await this.kill()
    await rm(this.#logs, { recursive: true, force: true })
    await cp(folder, this.#logs, { recursive: true })
    await this.start()
  }

  override async dispose(): Promise<void> {
    await super.dispose()
    await rm(this.#folder, { recursive: true, force: true })
  }
}
