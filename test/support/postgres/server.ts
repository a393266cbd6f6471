/**
 * The PostgreSQL that tests use: the one of `TIDEMARK_POSTGRES` (a URL), else one that is started from the programs of
 * this machine, once for all files of a run, else one that is installed (Debian, as root). Without any, tests are skipped.
 */
import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { Cluster, findBinaries, runFolder } from './cluster.js'

/** The URL of a server, or `undefined` where there is none, which is said on the console. */
export async function postgresUrl(): Promise<string | undefined> {
  const given = process.env['TIDEMARK_POSTGRES']
  if (given !== undefined && given !== '') return given
  const found = await shared()
  if (found.url === undefined) console.warn(`TESTS ARE SKIPPED: ${found.reason}`)
  return found.url
}

/** Whether this machine has the programs, so that tests may start, kill and copy servers of their own. */
export const hasBinaries = (): boolean => findBinaries() !== undefined

interface Found {
  readonly url?: string
  readonly reason?: string
}

/** The first file of a run starts it, others wait for that. It ends with the run. */
async function shared(): Promise<Found> {
  const folder = runFolder()
  const result = join(folder, 'shared.json')
  try {
    mkdirSync(join(folder, 'shared.lock'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    while (!existsSync(result)) await new Promise((resolve) => void setTimeout(resolve, 50))
    return JSON.parse(readFileSync(result, 'utf8')) as Found
  }
  const found = await start().catch((error: unknown) => ({ reason: `PostgreSQL did not start: ${String(error)}` }))
  writeFileSync(`${result}.new`, JSON.stringify(found))
  renameSync(`${result}.new`, result)
  return found
}

async function start(): Promise<Found> {
  if (findBinaries() === undefined && !install())
    return { reason: 'there is no PostgreSQL. Install it, or set TIDEMARK_POSTGRES to the URL of one.' }
  // Files that test what survives a crash have clusters of their own. Here nothing is written but for its readers.
  const settings = {
    max_connections: '300',
    synchronous_commit: 'off',
    full_page_writes: 'off',
    autovacuum: 'off',
    wal_level: 'minimal',
    max_wal_senders: '0',
    max_wal_size: '4GB',
    checkpoint_timeout: '1h',
  }
  const { url } = await Cluster.create({ name: 'shared', settings })
  return { url }
}

/** On Debian as root, without a server that is started by the installation. */
function install(): boolean {
  if (process.getuid?.() !== 0 || !existsSync('/etc/debian_version')) return false
  const options = {
    stdio: 'ignore',
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    timeout: 300_000,
  } as const
  try {
    execFileSync('apt-get', ['update'], options)
    execFileSync('apt-get', ['install', '-y', '--no-install-recommends', 'postgresql-common'], options)
    mkdirSync('/etc/postgresql-common/createcluster.d', { recursive: true })
    writeFileSync('/etc/postgresql-common/createcluster.d/tidemark.conf', 'create_main_cluster = false\n')
    execFileSync('apt-get', ['install', '-y', '--no-install-recommends', 'postgresql'], options)
  } catch {
    return false
  }
  return findBinaries() !== undefined
}

/** A schema of its own, so that files may run at the same time, and pools to it. */
export class TestSchema {
  readonly schema = `t_${randomUUID().replaceAll('-', '').slice(0, 20)}`
  readonly pool: pg.Pool
  readonly #pools: pg.Pool[] = []

  constructor(readonly url: string) {
    this.pool = this.anotherPool()
  }

  /** Connections of their own, as another process would have. */
  anotherPool(options: pg.PoolConfig = {}): pg.Pool {
    const pool = new pg.Pool({ connectionString: this.url, max: 10, application_name: this.schema, ...options })
    // A test that ends the server says itself what it expects of it.
    pool.on('error', () => {})
    this.#pools.push(pool)
    return pool
  }

  /**
   * What is still in use: connections that are out of their pool, open transactions, and locks beyond those of a
   * statement. Stores that were closed, in whatever way, leave nothing of it.
   */
  async inUse(): Promise<object[]> {
    const { rows } = await this.pool.query<object>(
      `select pid, state, left(query, 200) as query,
          array(select locktype || ' ' || mode from pg_locks where pid = a.pid and granted) as locks
        from pg_stat_activity a where application_name = $1 and pid <> pg_backend_pid()
          and (state <> 'idle' or exists (select from pg_locks where pid = a.pid))`,
      [this.schema],
    )
    const out = this.#pools.filter(({ totalCount, idleCount, waitingCount }) => totalCount + waitingCount > idleCount)
    return [...rows, ...out.map(({ totalCount, idleCount, waitingCount }) => ({ totalCount, idleCount, waitingCount }))]
  }

  /** Ends what is in use, and forgets its pools: one test that leaves something must not fail the others. */
  async endAll(): Promise<void> {
    this.#pools.splice(0, Infinity, this.pool)
    await this.pool.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1 and pid <> pg_backend_pid()`,
      [this.schema],
    )
  }

  /** Drops everything, and ends all pools. Does not return while a store is open. */
  async dispose(): Promise<void> {
    await this.pool.query(`drop schema if exists "${this.schema}" cascade`)
    await Promise.all(this.#pools.filter(({ ending }) => !ending).map((pool) => pool.end()))
  }
}
