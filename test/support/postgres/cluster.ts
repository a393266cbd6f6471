/** PostgreSQL servers of our own, on loopback, as a user that is not root. What a run started ends with it: see janitor.mjs. */
import { execFileSync, spawn } from 'node:child_process'
import { chmodSync, chownSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isMainThread } from 'node:worker_threads'
import pg from 'pg'

/** The process that started the tests: workers of Vitest are its children. */
const run = process.env['VITEST_WORKER_ID'] === undefined || !isMainThread ? process.pid : process.ppid

const folder = join(tmpdir(), `tidemark-postgres-${run}`)

/** Where the programs of PostgreSQL are: the newest version of the system, or what is in PATH. */
export function findBinaries(): string | undefined {
  const debian = '/usr/lib/postgresql'
  const versions = existsSync(debian) ? readdirSync(debian).sort((a, b) => Number(b) - Number(a)) : []
  return [...versions.map((version) => join(debian, version, 'bin')), ...(process.env['PATH'] ?? '').split(delimiter)]
    .filter((path) => path !== '')
    .find((path) => ['initdb', 'postgres', 'pg_basebackup'].every((program) => existsSync(join(path, program))))
}

/** PostgreSQL refuses to run as root. */
function otherUser(): { uid: number; gid: number } | Record<never, never> {
  if (process.getuid?.() !== 0) return {}
  for (const name of ['postgres', 'nobody']) {
    const line = readFileSync('/etc/passwd', 'utf8')
      .split('\n')
      .find((each) => each.startsWith(`${name}:`))
    if (line !== undefined) return { uid: Number(line.split(':')[2]), gid: Number(line.split(':')[3]) }
  }
  throw new Error('There is no user that PostgreSQL could run as: neither postgres nor nobody.')
}

/** The folder of this run. Who makes it starts what cleans up after it. */
export function runFolder(): string {
  try {
    mkdirSync(folder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    return folder
  }
  chmodSync(folder, 0o755)
  const janitor = fileURLToPath(new URL('./janitor.mjs', import.meta.url))
  spawn(process.execPath, [janitor, String(run), folder], { detached: true, stdio: 'ignore' }).unref()
  return folder
}

function ownFolder(name: string): string {
  const user = otherUser()
  const path = join(runFolder(), name)
  mkdirSync(path)
  if ('uid' in user) chownSync(path, user.uid, user.gid)
  return path
}

const freePort = () =>
  new Promise<number>((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })

export interface ClusterOptions {
  /** Names its folder. One of them per run. */
  readonly name: string
  /** Further settings, as in postgresql.conf. */
  readonly settings?: Readonly<Record<string, string>>
}

/** One server. Its data stays where it is when it is stopped or killed, and `start` goes on with it. */
export class Cluster {
  readonly path: string
  readonly #settings: Readonly<Record<string, string>>
  readonly #bin: string
  port = 0
  #server: { readonly pid: number; readonly ended: Promise<void> } | undefined

  private constructor({ name, settings = {} }: ClusterOptions) {
    const bin = findBinaries()
    if (bin === undefined) throw new Error('PostgreSQL is not installed.')
    this.#bin = bin
    this.path = ownFolder(name)
    // Nothing here survives a crash of the machine, nor has to.
    this.#settings = { fsync: 'off', max_connections: '100', ...settings }
  }

  static async create(options: ClusterOptions): Promise<Cluster> {
    const cluster = new Cluster(options)
    const how = ['-U', 'postgres', '--auth=trust', '--encoding=UTF8', '--no-locale', '--no-sync']
    cluster.#run('initdb', ['-D', cluster.data, ...how])
    await cluster.start()
    return cluster
  }

  /** A standby that follows another server, asynchronously. */
  static async standbyOf(primary: Cluster, options: ClusterOptions): Promise<Cluster> {
    const cluster = new Cluster(options)
    const from = ['-h', '127.0.0.1', '-p', String(primary.port), '-U', 'postgres']
    cluster.#run('pg_basebackup', [...from, '-D', cluster.data, '-R', '-X', 'stream', '-c', 'fast', '--no-sync'])
    await cluster.start()
    return cluster
  }

  get data(): string {
    return join(this.path, 'data')
  }

  get url(): string {
    return `postgres://postgres@127.0.0.1:${this.port}/postgres`
  }

  get pid(): number {
    if (this.#server === undefined) throw new Error('The server does not run.')
    return this.#server.pid
  }

  /** On the port that it had before, if there was one. */
  async start(): Promise<void> {
    this.port ||= await freePort()
    const settings = Object.entries({
      ...this.#settings,
      port: String(this.port),
      listen_addresses: '127.0.0.1',
      unix_socket_directories: '',
    }).flatMap(([name, value]) => ['-c', `${name}=${value}`])
    const log = openSync(join(this.path, 'log'), 'a')
    const server = spawn(join(this.#bin, 'postgres'), ['-D', this.data, ...settings], {
      ...otherUser(),
      detached: true,
      cwd: this.path,
      stdio: ['ignore', log, log],
    })
    server.unref()
    const ended = new Promise<void>((resolve) => void server.once('exit', () => resolve()))
    this.#server = { pid: server.pid as number, ended }
    let over = false
    void ended.then(() => (over = true))
    for (;;) {
      const client = new pg.Client({ connectionString: this.url })
      client.on('error', () => {})
      try {
        await client.connect()
        await client.query('select 1')
        return
      } catch {
        if (over) throw new Error(`PostgreSQL ended: ${readFileSync(join(this.path, 'log'), 'utf8').slice(-2000)}`)
        await new Promise((resolve) => void setTimeout(resolve, 20))
      } finally {
        await client.end().catch(() => {})
      }
    }
  }

  /** As `pg_ctl stop -m fast`, or `-m immediate`, which is a crash. */
  async stop(how: 'fast' | 'immediate' = 'fast'): Promise<void> {
    const server = this.#server
    if (server === undefined) return
    this.#server = undefined
    process.kill(server.pid, how === 'fast' ? 'SIGINT' : 'SIGQUIT')
    await server.ended
  }

  /** Stops it and removes its files. */
  async dispose(): Promise<void> {
    await this.stop('immediate')
    rmSync(this.path, { recursive: true, force: true })
  }

  #run(program: string, options: string[]): void {
    execFileSync(join(this.#bin, program), options, { ...otherUser(), cwd: this.path, stdio: 'pipe' })
  }
}
