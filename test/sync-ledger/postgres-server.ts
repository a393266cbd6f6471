/** The server of a ledger whose logs are in PostgreSQL: a process of Node, and a database that it reaches through a proxy. */
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { Cluster, findBinaries } from '../support/postgres/cluster.js'
import { CuttingProxy, type CutWhen } from '../support/postgres/cutting-proxy.js'
import type { BackupWay, KillAt, LedgerBackup, LedgerDatabase, LedgerServer, ServerOptions } from './ledger-server.js'
import { NodeServer } from './node-server.js'
import { ServerProcess } from './server-process.js'

const run = promisify(execFile)

let clusters = 0

export async function startPostgresServer({ sabotage }: ServerOptions = {}): Promise<LedgerServer> {
  const cluster = await Cluster.create({ name: `ledger-${(clusters += 1)}` })
  const proxy = await CuttingProxy.to(cluster.port)
  const process = await ServerProcess.start({
    TIDEMARK_LEDGER_POSTGRES: `postgres://postgres@127.0.0.1:${proxy.port}/postgres`,
    TIDEMARK_LEDGER_SABOTAGE: sabotage ?? '',
  })
  return new PostgresServer(await mkdtemp(join(tmpdir(), 'tidemark-ledger-')), cluster, proxy, process)
}

class PostgresServer extends NodeServer {
  readonly database: LedgerDatabase
  readonly #folder: string
  readonly #cluster: Cluster
  readonly #proxy: CuttingProxy

  constructor(folder: string, cluster: Cluster, proxy: CuttingProxy, process: ServerProcess) {
    super(process)
    this.#folder = folder
    this.#cluster = cluster
    this.#proxy = proxy
    this.database = {
      async crash(away) {
        await cluster.stop('immediate')
        await sleep(away)
        await cluster.start()
      },
      cut: (count: number, when: CutWhen) => proxy.arm(count, when),
    }
  }

  override arm(killAt: KillAt | undefined): Promise<void> {
    // What a round had no time to cut is not cut in the next one.
    this.#proxy.disarm()
    return super.arm(killAt)
  }

  /** A dump, while it runs; or a copy of its files, as a snapshot of the volume would be after a crash. */
  async backup(way: BackupWay): Promise<LedgerBackup> {
    const folder = await mkdtemp(join(this.#folder, 'backup-'))
    if (way.by === 'dump')
      await this.#run('pg_dump', '--format=custom', '--schema=tidemark', '-f', join(folder, 'dump'), 'postgres')
    else {
      await this.#cluster.stop('immediate')
      await run('cp', ['-a', this.#cluster.data, folder])
      await this.#cluster.start()
    }
    return { folder, way }
  }

  async restore({ folder, way }: LedgerBackup): Promise<void> {
    if (!way.isServed) await this.kill()
    if (way.by === 'dump') await this.#restoreDump(join(folder, 'dump'))
    else {
      await this.#cluster.stop('immediate')
      await rm(this.#cluster.data, { recursive: true, force: true })
      await run('cp', ['-a', join(folder, 'data'), this.#cluster.data])
      await this.#cluster.start()
    }
    await rm(folder, { recursive: true, force: true })
    await this.start()
  }

  override async dispose(): Promise<void> {
    await super.dispose()
    await this.#proxy.close()
    await this.#cluster.dispose()
    await rm(this.#folder, { recursive: true, force: true })
  }

  /** Changes nothing if it meets a request in a deadlock: then it is repeated, as an operator would. */
  async #restoreDump(dump: string): Promise<void> {
    for (let attempt = 0; ; attempt += 1)
      try {
        return await this.#run('pg_restore', '--clean', '--if-exists', '--single-transaction', '-d', 'postgres', dump)
      } catch (error) {
        if (attempt === 5 || !String(error).includes('deadlock detected')) throw error
      }
  }

  async #run(program: string, ...options: string[]): Promise<void> {
    const place = ['-h', '127.0.0.1', '-p', String(this.#cluster.port), '-U', 'postgres']
    await run(join(findBinaries() ?? '', program), [...place, ...options])
  }
}
