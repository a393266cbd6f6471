/**
 * A server of sync in a process of its own, as the docs build it, over one of the engines. `/raw/<log>/push` is the same
 * work by hand, `/usage` what the process has used. Prints its address, and ends when its input does.
 *
 * Argument: a `Place` as JSON.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { nodeListener } from 'tidemark/file'
import { serverLog, syncHandler, type ServerLog, type WireCommit } from 'tidemark/server'
import { Backend, type Place } from './backend.js'
import { fileByHand, postgresByHand, type ByHand } from './by-hand.js'

const place = JSON.parse(process.argv[2] ?? '') as Place
const backend = new Backend(place)
const logs = new Map<string, Promise<ServerLog>>()

/** One for each log: those who listen to it share what is read for them. */
function logOf(name: string): Promise<ServerLog> {
  let log = logs.get(name)
  if (log === undefined) logs.set(name, (log = backend.store(name).then(serverLog)))
  return log
}

const listener = nodeListener(
  syncHandler({
    async open(request) {
      const [, , name = ''] = new URL(request.url).pathname.split('/')
      return { log: await logOf(name), author: request.headers.get('X-User') ?? '' }
    },
  }),
)

const raw = new Map<string, Promise<ByHand>>()

function byHand(log: string): Promise<ByHand> {
  let found = raw.get(log)
  if (found === undefined) {
    found =
      place.engine === 'postgres'
        ? postgresByHand(backend.pool, place.schema, log)
        : fileByHand(join(place.folder, `${log}.lines`))
    raw.set(log, found)
  }
  return found
}

async function bodyOf(incoming: IncomingMessage): Promise<string> {
  let body = ''
  for await (const text of incoming.setEncoding('utf8')) body += text as string
  return body
}

async function respond(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
  const [, room = '', log = ''] = (incoming.url ?? '').split('/')
  if (room === 'logs') return listener(incoming, response)
  if (room === 'raw') {
    const { commits } = JSON.parse(await bodyOf(incoming)) as { commits: WireCommit[] }
    response.end(JSON.stringify({ head: await (await byHand(log)).push(commits) }))
    return
  }
  const { user, system } = process.cpuUsage()
  response.end(JSON.stringify({ ...backend.counts, cpu: (user + system) / 1000, rss: process.memoryUsage.rss() }))
}

const server = createServer((incoming, response) => {
  respond(incoming, response).catch((error: unknown) => {
    console.error(error)
    response.destroy()
  })
})
server.keepAliveTimeout = 600_000
server.listen(0, '127.0.0.1', 4096, () => console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}`))
process.stdin.on('end', () => process.exit()).resume()
