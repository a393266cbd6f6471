// node scripts/postgres-push.mjs <postgres url> [events] [events a commit] [commits a push] [processes' pools] [pushes at a time]
// How fast commits of devices are stored in PostgreSQL: events/s, processor time of this process and of the server, bytes on disk.
import { readFileSync } from 'node:fs'
import process from 'node:process'
import pg from 'pg'
import { fileURLToPath } from 'node:url'
import { createServer } from 'vite'
import { readAs } from './builds.mjs'

const [url, events = '10000', each = '5', together = '200', pools = '1', atATime = '1'] = process.argv.slice(2)
const [total, size, perPush] = [Number(events), Number(each), Number(together)]

const loader = await createServer({
  configFile: false,
  root: fileURLToPath(new URL('..', import.meta.url)),
  plugins: [readAs('production')],
  optimizeDeps: { noDiscovery: true },
  server: { middlewareMode: true, hmr: false, watch: null, ws: false },
  appType: 'custom',
  logLevel: 'error',
})
const { migratePostgres, openPostgresLogStore } = await loader.ssrLoadModule('/src/postgres/index.ts')
const { serverLog } = await loader.ssrLoadModule('/src/server/index.ts')
const { createId } = await loader.ssrLoadModule('/src/events/identifier.ts')

const schema = `push_${process.pid}`
const all = Array.from({ length: Number(pools) }, () => new pg.Pool({ connectionString: url, max: 4 }))
const pool = all[0]
await migratePostgres(pool, { schema })

/** Seconds of processor time of the server's processes, if it runs on this machine. */
async function serverTime() {
  const { rows } = await pool.query('select pid from pg_stat_activity where datname = current_database()')
  let ticks = 0
  for (const { pid } of rows) {
    try {
      const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')
      ticks += Number(fields[11]) + Number(fields[12])
    } catch {
      return NaN
    }
  }
  return ticks / 100
}

let made = 0
const commit = () => {
  const stream = `cart-${made % 2000}`
  return {
    events: Array.from({ length: size }, () => {
      made += 1
      const data = {
        sku: `SKU-${made % 500}`,
        quantity: 1 + (made % 7),
        price: { amount: 1999 + made, currency: 'EUR' },
        note: `customer said ${made}`,
      }
      return { stream, type: 'ItemAdded', id: createId(1_795_000_000_000 + made), time: 1_795_000_000_000 + made, data }
    }),
  }
}
const bodies = Array.from({ length: Math.ceil(total / size / perPush) }, () => ({
  commits: Array.from({ length: perPush }, commit),
}))
const logs = all.map((each) => serverLog(openPostgresLogStore({ pool: each, log: 'shop', schema })))
// Connections and code are warm, as those of a server that runs.
await logs[0].push({ commits: [commit()] }, { author: 'anna' })
await Promise.all(logs.map((log) => log.info()))
const lsn = async () => (await pool.query('select pg_current_wal_insert_lsn() as at')).rows[0].at
const [before, cpu, wal] = [await serverTime(), process.cpuUsage(), await lsn()]
const start = performance.now()
let next = 0
await Promise.all(
  Array.from({ length: Number(atATime) }, async (_, worker) => {
    for (let body = bodies[next++]; body !== undefined; body = bodies[next++]) {
      const { answers } = await logs[worker % logs.length].push(body, { author: 'anna' })
      if (answers.some((answer) => !('accepted' in answer)))
        throw new Error(JSON.stringify(answers.find((answer) => !('accepted' in answer))))
    }
  }),
)
const ms = performance.now() - start
const { user, system } = process.cpuUsage(cpu)
const server = (await serverTime()) - before
const count = bodies.length * perPush
const { rows } = await pool.query(
  `select c.relname, pg_relation_size(c.oid)::float8 as own, pg_total_relation_size(c.oid)::float8 as whole, c.relkind
   from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 and c.relkind in ('r', 'i')`,
  [schema],
)
const bytes = rows.filter(({ relkind }) => relkind === 'r').reduce((sum, { whole }) => sum + whole, 0)
const walBytes = (await pool.query('select pg_current_wal_insert_lsn() - $1::pg_lsn as bytes', [wal])).rows[0].bytes
console.log(
  JSON.stringify({
    events: count * size,
    eventsPerSecond: Math.round((count * size * 1000) / ms),
    commitsPerSecond: Math.round((count * 1000) / ms),
    nodeMsPerCommit: Number(((user + system) / 1000 / count).toFixed(3)),
    serverMsPerCommit: Number(((server * 1000) / count).toFixed(3)),
    bytesPerEvent: Math.round(bytes / (count * size)),
    walPerEvent: Math.round(walBytes / (count * size)),
    tables: Object.fromEntries(
      rows
        .filter(({ own }) => own / count / size > 1)
        .map(({ relname, own }) => [relname, Math.round(own / count / size)]),
    ),
  }),
)
await pool.query(`drop schema ${schema} cascade`)
for (const each of all) await each.end()
await loader.close()
