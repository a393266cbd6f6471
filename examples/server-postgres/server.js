// A server of a synced app over PostgreSQL: a log per household, behind tokens, and a table that counts events. `npm start`
import { createServer } from 'node:http'
import { checkCommit, defineEvents, startProjection } from 'tidemark'
import { nodeListener } from 'tidemark/file'
import { migratePostgres, openPostgresStore, sqlProjector, waitForPostgres } from 'tidemark/postgres'
import { serverLog, syncHandler } from 'tidemark/server'

const { PORT = '8787', HOST = '127.0.0.1', FOLDER = 'data', DATABASE_URL } = process.env

// Of a real app they come from its sessions, and the households from its database.
const users = new Map([
  ['anna', { name: 'anna', household: 'home' }],
  ['bert', { name: 'bert', household: 'home' }],
  ['carl', { name: 'carl', household: 'mill-lane' }],
])

/** PostgreSQL at DATABASE_URL; without that PGlite, which is PostgreSQL within this process. */
async function openDatabase() {
  if (!DATABASE_URL) return (await import('@electric-sql/pglite')).PGlite.create(FOLDER)
  const { Pool } = (await import('pg')).default
  // Without a listener, a connection that fails would end the process. The error has the whole connection with it.
  const lost = ({ message }) => console.error(`A connection to PostgreSQL was lost: ${message}`)
  return new Pool({ connectionString: DATABASE_URL, max: 10 }).on('error', lost)
}
const pool = await openDatabase()
// Both may have been started together.
await waitForPostgres(pool)
await migratePostgres(pool)
await pool.query('create table if not exists activity (home text, day date, events int, primary key (home, day))')

const count = `
  insert into activity select $1, to_timestamp(t / 1000)::date, count(*) from unnest($2::float8[]) t group by 2
  on conflict (home, day) do update set events = activity.events + excluded.events`

/** Counts the events of each day. Its checkpoint is stored with the counts, so each event counts once, whatever crashes. */
const activity = (store) =>
  sqlProjector(store, {
    name: 'activity',
    async applyAll(events, sql) {
      await sql.query(count, [store.name, events.map(({ time }) => time)])
    },
  })

const households = new Map()
for (const name of new Set([...users.values()].map((user) => user.household))) {
  const store = await openPostgresStore({ pool, name })
  households.set(name, { store, log: serverLog(store.log), counting: startProjection(store, activity(store)) })
}

// The events of the app, examples/shared/todo.ts. A device may push any other one: it would stop all devices.
const events = defineEvents({ TodoAdded: {}, TodoRenamed: {}, TodoDone: {}, TodoReopened: {}, TodoDeleted: {} })

const problem = (status, code, message) => Response.json({ code, message }, { status })

/** Who is it, and may they use this household? Addresses are /logs/<household> and /activity/<household>. */
function userOf(request) {
  const user = users.get(request.headers.get('Authorization')?.replace(/^Bearer /, '') ?? '')
  if (user === undefined) return problem(401, 'unauthorized', 'Sign in first.')
  const isOwn = new URL(request.url).pathname.split('/')[2] === user.household
  return isOwn ? { author: user.name, ...households.get(user.household) } : problem(403, 'forbidden', 'Not yours.')
}

const sync = syncHandler({
  origins: [process.env.ORIGIN ?? 'http://localhost:5173'],
  open(request) {
    const user = userOf(request)
    return user instanceof Response ? user : { log: user.log, author: user.author }
  },
  // What every device must keep to, also one that somebody else wrote. A refusal is final: the device shows it to its user.
  async accept(commit) {
    const unknown = await checkCommit(events, commit)
    if (unknown) return unknown
    for (const { type, data } of commit.events)
      if (/^Todo(Added|Renamed)$/.test(type) && !(typeof data?.title === 'string' && data.title.length <= 200))
        return { code: 'title-too-long', message: 'A title has at most 200 characters.' }
  },
})

async function showActivity(request) {
  const user = userOf(request)
  if (user instanceof Response) return user
  await user.counting.caughtUp(await user.store.head())
  const { rows } = await pool.query('select day::text, events from activity where home = $1', [user.store.name])
  return Response.json(rows)
}

const isActivity = ({ url }) => new URL(url).pathname.startsWith('/activity/')
const server = createServer(nodeListener((request) => (isActivity(request) ? showActivity(request) : sync(request))))
const place = DATABASE_URL ? 'in the database of DATABASE_URL' : `by PGlite in the folder '${FOLDER}'`
server.listen(Number(PORT), HOST, () =>
  console.log(`Logs are served at http://${HOST}:${server.address().port}/logs/<household>, and kept ${place}.`),
)

async function end() {
  server.close()
  server.closeAllConnections()
  for (const { store, counting } of households.values()) await counting.stop().then(() => store.close())
  await (DATABASE_URL ? pool.end() : pool.close())
}
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, end)
// Such as a port that is taken.
server.once('error', ({ message }) => {
  console.error(`The server does not start: ${message}. Another port: PORT=8788 npm start`)
  process.exitCode = 1
  return end()
})
