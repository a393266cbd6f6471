/** The server of a ledger whose logs are in Durable Objects, in a workerd of its own. */
import { randomUUID } from 'node:crypto'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Workerd } from '../support/workerd/start.js'
import type { BackupWay, KillAt, LedgerBackup, LedgerServer, ServerOptions } from './ledger-server.js'

export async function startObjectServer({ sabotage }: ServerOptions = {}): Promise<LedgerServer> {
  if (sabotage !== undefined) throw new Error('Only the server in Node can be sabotaged.')
  return new ObjectServer(await Workerd.start('development', { origins: '*' }))
}

class ObjectServer implements LedgerServer {
  readonly #workerd: Workerd
  #generation = ''
  #isUp = true
  #isKilled = false
  #isDisposed = false

  constructor(workerd: Workerd) {
    this.#workerd = workerd
    void workerd.ended().then(() => (this.#isUp = false))
  }

  get url(): string {
    return this.#workerd.url
  }

  get pid(): number | undefined {
    return this.#isUp ? this.#workerd.pid : undefined
  }

  async start(): Promise<void> {
    if (this.#isUp) return
    if (this.#isDisposed) throw new Error('The server was removed.')
    await this.#workerd.startAgain({ origins: '*', generation: this.#generation })
    this.#isUp = true
    this.#isKilled = false
    void this.#workerd.ended().then(() => (this.#isUp = false))
  }

  async arm(killAt: KillAt | undefined, log: string): Promise<void> {
    if (!this.#isUp) return
    const at = killAt === undefined ? '' : `${killAt.when}@${killAt.commit}`
    await fetch(`${this.url}/logs/${log}/control?do=kill&at=${at}`)
  }

  async kill(): Promise<void> {
    this.#isKilled = true
    await this.#workerd.kill()
    this.#isUp = false
  }

  async ended(): Promise<boolean> {
    await this.#workerd.ended()
    return !this.#isKilled
  }

  /** SQLite is not copied while it is written: the server is away for a moment. */
  async backup(way: BackupWay): Promise<LedgerBackup> {
    const wasUp = this.#isUp
    await this.kill()
    const folder = await mkdtemp(join(this.#workerd.folder, 'backup-'))
    await cp(this.#workerd.disk, folder, { recursive: true })
    if (wasUp) await this.start()
    return { folder, way }
  }

  async restore({ folder }: LedgerBackup): Promise<void> {
    await this.kill()
    await rm(this.#workerd.disk, { recursive: true, force: true })
    await cp(folder, this.#workerd.disk, { recursive: true })
    this.#generation = randomUUID()
    await this.start()
  }

  dispose(): Promise<void> {
    this.#isDisposed = true
    return this.#workerd.end()
  }
}
