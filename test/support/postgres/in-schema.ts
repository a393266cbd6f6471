/** What a file of tests over a server of PostgreSQL begins with: tables in a schema of their own, which are gone when it ends. */
import pg from 'pg'
import { migratePostgres } from 'tidemark/postgres'
import { afterAll, afterEach, beforeAll, describe } from 'vitest'
import { CuttingProxy } from './cutting-proxy.js'
import { postgresUrl, TestSchema } from './server.js'

const url = await postgresUrl()

/** Describes tests over a schema with the tables. They are skipped where there is no server. */
export function inSchema(title: string, timeout: number, suite: (subject: TestSchema) => void): void {
  describe.skipIf(url === undefined)(title, { timeout }, () => {
    const subject = new TestSchema(url ?? '')
    beforeAll(() => migratePostgres(subject.pool, { schema: subject.schema }), 120_000)
    afterAll(() => subject.dispose(), 120_000)
    suite(subject)
  })
}

/** Between pools of a test and its server: it cuts their connections, or forgets them. */
export interface Proxied {
  readonly proxy: CuttingProxy
  /** A pool through the proxy, which ends with the test. */
  pool(options?: pg.PoolConfig): pg.Pool
}

/** A proxy for the tests of a suite; to be called in it. */
export function throughProxy(subject: TestSchema): Proxied {
  const at = new URL(subject.url === '' ? 'postgres://127.0.0.1' : subject.url)
  const pools: pg.Pool[] = []
  let proxy: CuttingProxy
  beforeAll(async () => void (proxy = await CuttingProxy.to(Number(at.port || 5432))))
  afterEach(async () => {
    for (const pool of pools.splice(0)) await pool.end()
  })
  afterAll(() => proxy.close())
  return {
    get proxy() {
      return proxy
    },
    pool(options) {
      const through = new URL(at)
      through.host = `127.0.0.1:${proxy.port}`
      const pool = new pg.Pool({ connectionString: through.href, ...options })
      pool.on('error', () => {})
      pools.push(pool)
      return pool
    },
  }
}
