/**
 * The server of a ledger, in a process of its own: logs in files of `TIDEMARK_LEDGER_FOLDER`, or in the database of
 * `TIDEMARK_LEDGER_POSTGRES`, at `/logs/<name>`. `X-User` says who it is.
 *
 * Argument: the port, 0 for a free one. `TIDEMARK_LEDGER_SABOTAGE` is one of `sabotages`. A message with `killAt` ends the
 * process before a commit is stored, or when it is, and no device was told.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { nodeListener, openFileLogStore } from 'tidemark/file'
import {
  serverLog,
  syncHandler,
  type DecisionQuestions,
  type LogDecision,
  type LogStore,
  type ServerLog,
} from 'tidemark/server'
import type { KillAt } from './ledger-server.js'
import { passedTo, sabotaged } from './sabotaged-log.js'

const [port = '0'] = process.argv.slice(2)
const sabotage = process.env['TIDEMARK_LEDGER_SABOTAGE'] ?? ''
const url = process.env['TIDEMARK_LEDGER_POSTGRES']

let killAt: KillAt | undefined
let commits = 0

process.on('message', (message: { readonly killAt?: KillAt }) => {
  killAt = message.killAt
  commits = 0
  process.send?.('armed')
})
// A driver that broke leaves no server behind.
process.on('disconnect', () => process.exit())

/** Ends this process at one of its commits. */
function killing(store: LogStore): LogStore {
  const isTheOne = (adds: number): boolean => adds > 0 && (commits += 1) === killAt?.commit
  return {
    ...passedTo(store),
    async decide<T>(work: (log: LogDecision) => Promise<T>, asks?: DecisionQuestions): Promise<T> {
      let isLast = false
      const value = await store.decide(async (log) => {
        const before = log.head
        const result = await work(log)
        isLast = isTheOne(log.head - before)
        if (isLast && killAt?.when === 'before') return await end()
        return result
      }, asks)
      return isLast && killAt?.when === 'after' ? await end() : value
    },
  }
}

/** Nothing comes behind it. */
function end(): Promise<never> {
  process.kill(process.pid, 'SIGKILL')
  return new Promise(() => {})
}

const logs = new Map<string, Promise<ServerLog>>()

/** By the name of the log. */
const openStore: (name: string) => LogStore | Promise<LogStore> = url === undefined ? inFile : await inPostgres(url)

function inFile(name: string): Promise<LogStore> {
  const folder = process.env['TIDEMARK_LEDGER_FOLDER'] ?? '.'
  return openFileLogStore({ path: join(folder, `${name}.log`), log: `log-${name}` })
}

async function inPostgres(connectionString: string): Promise<(name: string) => LogStore> {
  const { default: pg } = await import('pg')
  const { migratePostgres, openPostgresLogStore } = await import('tidemark/postgres')
  const pool = new pg.Pool({ connectionString, max: 6 })
  // Connections are lost all the time.
  pool.on('error', () => {})
  for (;;) {
    try {
      await migratePostgres(pool)
      break
    } catch {
      // The database starts, or a connection was cut.
      await new Promise((resolve) => void setTimeout(resolve, 50))
    }
  }
  return (name) => openPostgresLogStore({ pool, log: name })
}

async function openLog(name: string): Promise<ServerLog> {
  const store = await openStore(name)
  return serverLog(killing(sabotage === '' ? store : sabotaged(store, sabotage)))
}

const handler = syncHandler({
  origins: '*',
  // Where the database is killed all the time, that is what there would be to read.
  onError: () => {},
  async open(request) {
    const user = request.headers.get('X-User')
    if (user === null) return Response.json({ code: 'unauthorized', message: 'Who are you?' }, { status: 401 })
    const [, , name = ''] = new URL(request.url).pathname.split('/')
    if (!/^[\w-]+$/.test(name)) return Response.json({ code: 'not-found', message: 'No such log.' }, { status: 404 })
    const log = logs.get(name) ?? openLog(name)
    logs.set(name, log)
    return { log: await log, author: decodeURIComponent(user) }
  },
  accept: ({ events }) =>
    events.some(({ type }) => type === 'Refused') ? { code: 'by-rule', message: 'It is refused.' } : undefined,
})

const server = createServer(nodeListener(handler))
server.listen(Number(port), '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
})
