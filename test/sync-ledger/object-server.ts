/** The server of a ledger whose logs are in Durable Objects, in a workerd of its own. */
import { randomUUID } from 'node:crypto'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Workerd } from '../support/workerd/start.js'
import type { LedgerBackup, LedgerServer } from './ledger-server.js'

type StartOptions = Parameters<LedgerServer['start']>[0]

export async function startObjectServer(options: StartOptions): Promise<LedgerServer> {
  const workerd = await Workerd.start('development', { origins: '*' })
  const server = new ObjectServer(workerd)
  if (options?.killAt !== undefined) {
    await server.kill()
    await server.start(options)
  }
  return server
}

class ObjectServer implements LedgerServer {
  readonly #workerd: Workerd
  #generation = ''
  #isUp = true

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

  async start({ killAt, sabotage }: StartOptions = {}): Promise<void> {
    if (sabotage !== undefined) throw new Error('Only the server in Node can be sabotaged.')
    if (this.#isUp) return
    await this.#workerd.startAgain({
      origins: '*',
      generation: this.#generation,
      ...(killAt && { killAt: `${killAt.when}@${killAt.commit}` }),
    })
    this.#isUp = true
    void this.#workerd.ended().then(() => (this.#isUp = false))
  }

  async kill(): Promise<void> {
    await this.#workerd.kill()
    this.#isUp = false
  }

  ended(): Promise<void> {
    return this.#workerd.ended()
  }

  /** SQLite is not copied while it is written: the server is away for a moment. */
  async backup(): Promise<LedgerBackup> {
    const wasUp = this.#isUp
    await this.kill()
    const folder = await mkdtemp(join(this.#workerd.folder, 'backup-'))
    await cp(this.#workerd.disk, folder, { recursive: true })
    if (wasUp) await this.start()
    return { folder }
  }

  async restore({ folder }: LedgerBackup, options?: StartOptions): Promise<void> {
    await this.kill()
    await rm(this.#workerd.disk, { recursive: true, force: true })
    await cp(folder, this.#workerd.disk, { recursive: true })
    this.#generation = randomUUID()
    await this.start(options)
  }

  dispose(): Promise<void> {
    return this.#workerd.end()
  }
}
