/**
 * The server of a ledger, in a process of its own: logs in files of a folder, at `/logs/<name>`. `X-User` says who it is.
 *
 * Arguments: the folder; the port, 0 for a free one. `TIDEMARK_LEDGER_KILL=before@3` ends the process before its third
 * commit is in the file, `after@3` when it is, and no device was told. `TIDEMARK_LEDGER_SABOTAGE` is one of `sabotages`.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { nodeListener, openFileLogStore } from 'tidemark/file'
import { serverLog, syncHandler, type LogDecision, type LogStore, type ServerLog } from 'tidemark/server'
import { sabotaged } from './sabotaged-log.js'

const [folder = '.', port = '0'] = process.argv.slice(2)
const [, when = '', count = '0'] = /^(before|after)@(\d+)$/.exec(process.env['TIDEMARK_LEDGER_KILL'] ?? '') ?? []
const sabotage = process.env['TIDEMARK_LEDGER_SABOTAGE']

let commits = 0

/** Ends this process at one of its commits. */
function killing(store: LogStore): LogStore {
  const isTheOne = (adds: number): boolean => adds > 0 && (commits += 1) === Number(count)
  return {
    identity: () => store.identity(),
    head: () => store.head(),
    chainAt: (position) => store.chainAt(position),
    read: (after, limit) => store.read(after, limit),
    subscribe: (listener) => store.subscribe(listener),
    close: () => store.close(),
    async decide<T>(work: (log: LogDecision) => Promise<T>): Promise<T> {
      let isLast = false
      const value = await store.decide(async (log) => {
        const before = log.head
        const result = await work(log)
        isLast = isTheOne(log.head - before)
        if (isLast && when === 'before') return await end()
        return result
      })
      return isLast && when === 'after' ? await end() : value
    },
  }
}

/** Nothing comes behind it. */
function end(): Promise<never> {
  process.kill(process.pid, 'SIGKILL')
  return new Promise(() => {})
}

const logs = new Map<string, Promise<ServerLog>>()

async function openLog(name: string): Promise<ServerLog> {
  const store = await openFileLogStore({ path: join(folder, `${name}.log`), log: `log-${name}` })
  return serverLog(killing(sabotage === undefined ? store : sabotaged(store, sabotage)))
}

const handler = syncHandler({
  origins: '*',
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
