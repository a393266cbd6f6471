// Starts and ends what the cases need: PostgreSQL, workerd, servers in Node.
import { mkdir } from 'node:fs/promises'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { Program } from './programs.mjs'
import { cpuOf, cpuOfAll, memoryOf } from './usage.mjs'

const worker = { path: fileURLToPath(new URL('worker.ts', import.meta.url)), classes: ['Log', 'Raw'] }

export class Engines {
  #options
  #postgres
  #made = 0
  #postgresVersion = 'no PostgreSQL'

  /**
   * @param {{ loader, folder: string, programs: string, url?: string, only?: string[] }} options `url`: of a PostgreSQL that
   *   runs already; `only`: which engines
   */
  constructor(options) {
    this.#options = options
  }

  get programs() {
    return this.#options.programs
  }

  versions() {
    return this.#postgresVersion
  }

  /** PostgreSQL as it is by default, with every commit flushed; nothing where there is none. */
  async postgres() {
    this.#postgres ??= this.#startPostgres()
    return this.#postgres
  }

  async #startPostgres() {
    const { loader, url } = this.#options
    const { Cluster, findBinaries } = await loader.ssrLoadModule('/test/support/postgres/cluster.ts')
    if (url === undefined && findBinaries() === undefined) {
      console.error('There is no PostgreSQL, so its cases are left out. --postgres=url names one.')
      return undefined
    }
    const cluster =
      url === undefined
        ? await Cluster.create({ name: 'bench', settings: { fsync: 'on', max_connections: '200' } })
        : undefined
    const pool = new pg.Pool({ connectionString: url ?? cluster.url, max: 2 })
    pool.on('error', () => {})
    const { rows } = await pool.query('show server_version')
    this.#postgresVersion = `PostgreSQL ${rows[0].server_version}`
    return { url: url ?? cluster.url, pid: cluster?.pid, pool, cluster }
  }

  async #migrated() {
    const postgres = await this.postgres()
    const { migratePostgres } = await this.#options.loader.ssrLoadModule('/src/postgres/index.ts')
    const schema = `bench_${process.pid}_${(this.#made += 1)}`
    await migratePostgres(postgres.pool, { schema })
    return schema
  }

  /** Which engines there are on this machine. */
  async names() {
    const { workerd } = await this.#options.loader.ssrLoadModule('/test/support/workerd/start.ts')
    const { only } = this.#options
    const isWanted = only === undefined || only.includes('postgres')
    const all = [
      ...(!isWanted || (await this.postgres()) === undefined ? [] : ['postgres']),
      ...(workerd === undefined ? [] : ['durable-object']),
      'file',
      'memory',
    ]
    return only === undefined ? all : all.filter((name) => only.includes(name))
  }

  /** A place of its own for logs. */
  async place(engine) {
    const folder = join(this.#options.folder, `${engine}-${(this.#made += 1)}`)
    await mkdir(folder)
    const postgres = engine === 'postgres' ? await this.postgres() : undefined
    return { engine, folder, url: postgres?.url ?? '', schema: postgres === undefined ? '' : await this.#migrated() }
  }

  /** A server over an engine, in a process of its own. With the place of another one, it serves the same logs. */
  async serve(engine, place) {
    if (engine === 'durable-object') {
      const { Workerd } = await this.#options.loader.ssrLoadModule('/test/support/workerd/start.ts')
      const running = await Workerd.start('production', { origins: '*' }, worker)
      const served = new Served(engine, running.url, running.pid, undefined, undefined, () => running.end())
      return Object.assign(served, { printed: () => running.printed.slice(0, 2000) })
    }
    const own = place ?? (await this.place(engine))
    const program = new Program(this.programs, 'server', own)
    const postgres = engine === 'postgres' ? await this.postgres() : undefined
    return new Served(engine, await program.line(), program.pid, own, postgres, () => program.end())
  }

  /** What PostgreSQL has used until now; zero for other engines. */
  async postgresUsage(place) {
    if (place?.engine !== 'postgres') return { cpu: 0, wal: 0 }
    const { pid, pool } = await this.postgres()
    const { rows } = await pool.query(`select pg_current_wal_insert_lsn() - '0/0'::pg_lsn as wal`)
    return { cpu: pid === undefined ? NaN : cpuOfAll(pid), wal: Number(rows[0].wal) }
  }

  /** Drops what a place has in PostgreSQL. */
  async drop(place) {
    if (place.engine !== 'postgres') return
    const { pool } = await this.postgres()
    await pool.query(`drop schema ${place.schema} cascade`)
  }

  async close() {
    const postgres = await this.#postgres
    if (postgres === undefined) return
    // The server of a cluster does not keep this process, which has to wait for its end.
    const waiting = setInterval(() => {}, 1000)
    await postgres.pool.end()
    await postgres.cluster?.dispose()
    clearInterval(waiting)
  }
}

/** A server that runs. */
class Served {
  constructor(engine, url, pid, place, postgres, end) {
    Object.assign(this, { engine, url, pid, place, end })
    this.postgres = postgres
  }

  get wake() {
    return this.engine === 'durable-object' ? 'websocket' : 'events'
  }

  /** Until now: processor time in ms, bytes and rows of one log, round trips. What an engine has not is left out. */
  async usage(log) {
    const own = { cpu: cpuOf(this.pid), memory: memoryOf(this.pid) }
    if (this.engine === 'durable-object') {
      const { bytes, rows } = await (
        await fetch(`${this.url}/logs/${log}/stats`, { headers: { 'X-User': 'anna' } })
      ).json()
      return { ...own, bytes, rows }
    }
    if (this.engine === 'file') {
      try {
        return { ...own, bytes: statSync(join(this.place.folder, `${log}.log`)).size }
      } catch {
        return { ...own, bytes: 0 }
      }
    }
    if (this.engine === 'memory') return own
    const { roundTrips, transactions } = await (await fetch(`${this.url}/usage`)).json()
    const { pool, pid } = this.postgres
    const { rows } = await pool.query(
      `select sum(pg_total_relation_size(c.oid))::float8 as bytes, pg_current_wal_insert_lsn() - '0/0'::pg_lsn as wal
       from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 and c.relkind = 'r'`,
      [this.place.schema],
    )
    return {
      ...own,
      roundTrips,
      transactions,
      bytes: rows[0].bytes,
      wal: Number(rows[0].wal),
      postgresCpu: pid === undefined ? NaN : cpuOfAll(pid),
    }
  }

  async connections() {
    if (this.postgres === undefined) return undefined
    const { rows } = await this.postgres.pool.query(
      `select count(*)::int as n from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'`,
    )
    return rows[0].n
  }
}
