/**
 * The server of the bench, in a process of its own: the page; logs of tidemark in files, at `/logs/<name>`; and, for
 * what is written by hand, logs that are lines of a file, at `/raw/<name>`. All from one origin.
 *
 * Arguments: the folder of the page, the folder for logs, and what other libraries sync with, at `/peers/<which>/<name>`:
 * a module that is not in this bundle. It prints its address, and ends when its input does.
 */
import { open as openFile, readFile, type FileHandle } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { nodeListener, openFileLogStore } from 'tidemark/file'
import { serverLog, syncHandler, type ServerLog } from 'tidemark/server'
import { deposit, events } from '../cases/workload.js'

const [pages = '.', folder = '.', peersModule] = process.argv.slice(2)

/** Events of a commit in a log that is filled here. */
const perCommit = 10

function once<T>(make: (name: string) => Promise<T>): (name: string) => Promise<T> {
  const made = new Map<string, Promise<T>>()
  return (name) => {
    const found = made.get(name) ?? make(name)
    made.set(name, found)
    return found
  }
}

const tidemarkLog = once<ServerLog>(async (name) =>
  serverLog(await openFileLogStore({ path: join(folder, `${name}.log`) })),
)

/** The events of one commit of the workload, from the n-th on. */
const commitFrom = (n: number, until: number) => ({
  events: Array.from({ length: Math.min(perCommit, until - n) }, (_, index) => {
    const event = deposit(n + index)
    // An id as devices make it: random ones cost an index entry each.
    return { ...event, id: events.Deposited(event.data).id, time: Date.now() }
  }),
})

/** Fills a log of tidemark with the first events of the workload, if it is empty. */
async function fill(name: string, count: number): Promise<void> {
  const log = await tidemarkLog(name)
  const { head } = await log.info()
  for (let n = head; n < count;) {
    const commits = []
    for (; n < count && commits.length < 1000; n += perCommit) commits.push(commitFrom(n, count))
    const { answers } = await log.push({ commits }, { author: 'bench' })
    if (!answers.every((each) => 'accepted' in each)) throw new Error('The log could not be filled')
  }
}

/** A log by hand: lines in a file, flushed before there is a response, and sent to everyone who listens. */
class RawLog {
  readonly #file: FileHandle
  readonly #listeners = new Set<ServerResponse>()
  readonly #versions = new Map<string, number>()
  #head = 0

  constructor(file: FileHandle) {
    this.#file = file
  }

  async add(commits: readonly { readonly stream: string }[][]): Promise<number> {
    let lines = ''
    for (const event of commits.flat()) {
      const version = (this.#versions.get(event.stream) ?? 0) + 1
      this.#versions.set(event.stream, version)
      lines += `${JSON.stringify({ position: (this.#head += 1), version, ...event })}\n`
    }
    const head = this.#head
    await this.#file.appendFile(lines)
    await this.#file.datasync()
    for (const listener of this.#listeners) listener.write(`data: [${lines.trimEnd().replaceAll('\n', ',')}]\n\n`)
    return head
  }

  listen(response: ServerResponse): void {
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' }).write(': \n\n')
    this.#listeners.add(response)
    response.once('close', () => this.#listeners.delete(response))
  }
}

const rawLog = once(async (name) => new RawLog(await openFile(join(folder, `${name}.lines`), 'a')))

/** The first events of the workload as lines, made once. */
const workloadLines = once(async (count) => {
  const parts: Uint8Array[] = []
  const versions = new Map<string, number>()
  for (let n = 0, text = ''; n < Number(count); n += 1) {
    const event = deposit(n)
    const version = (versions.get(event.stream) ?? 0) + 1
    versions.set(event.stream, version)
    text += `${JSON.stringify({ position: n + 1, version, id: crypto.randomUUID(), time: Date.now(), ...event })}\n`
    if (n + 1 < Number(count) && text.length < 262_144) continue
    parts.push(new TextEncoder().encode(text))
    text = ''
  }
  return parts
})

async function bodyOf(incoming: IncomingMessage): Promise<string> {
  let body = ''
  for await (const text of incoming.setEncoding('utf8')) body += text as string
  return body
}

async function raw(incoming: IncomingMessage, response: ServerResponse, name: string, what: string): Promise<void> {
  if (what === 'events') return (await rawLog(name)).listen(response)
  if (what === 'push') {
    const head = await (await rawLog(name)).add(JSON.parse(await bodyOf(incoming)) as { stream: string }[][])
    response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify({ head }))
    return
  }
  const parts = await workloadLines(what)
  response.writeHead(200, { 'Content-Type': 'application/x-ndjson', 'Cache-Control': 'no-store' })
  for (const part of parts)
    if (!response.write(part)) await new Promise<void>((resolve) => response.once('drain', resolve))
  response.end()
}

type PeersListener = (
  incoming: IncomingMessage,
  response: ServerResponse,
  pathname: string,
  searchParams: URLSearchParams,
) => Promise<void>

const loadPeers = once(async (path) => {
  const { peersListener } = (await import(/* @vite-ignore */ pathToFileURL(path).href)) as {
    peersListener(folder: string, workload: (count: number) => readonly object[]): PeersListener
  }
  return peersListener(join(folder, 'peers'), (count) =>
    Array.from({ length: count }, (_, n) => ({
      id: crypto.randomUUID(),
      position: n + 1,
      time: Date.now(),
      ...deposit(n),
    })),
  )
})

const types: Readonly<Record<string, string>> = { '.html': 'text/html', '.js': 'text/javascript' }

async function page(response: ServerResponse, path: string): Promise<void> {
  const file = path === '/' ? '/index.html' : path
  const content =
    /^\/[\w/.-]+$/.test(file) && !file.includes('..') && (await readFile(join(pages, file)).catch(() => {}))
  if (!content) return void response.writeHead(404).end()
  response
    .writeHead(200, {
      'Content-Type': types[extname(file)] ?? 'application/octet-stream',
      // An isolated page has a clock of 5 µs; otherwise it is 100 µs.
      'Cross-Origin-Opener-Policy': 'same-origin',
      'Cross-Origin-Embedder-Policy': 'require-corp',
    })
    .end(content)
}

const listener = nodeListener(
  syncHandler({
    async open(request) {
      const [, , name = ''] = new URL(request.url).pathname.split('/')
      return { log: await tidemarkLog(name), author: 'bench' }
    },
  }),
)

async function respond(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pathname, searchParams } = new URL(incoming.url ?? '/', 'http://bench')
  const [, room = '', name = '', what = ''] = pathname.split('/')
  if (room === 'logs' && what === 'fill') {
    await fill(name, Number(searchParams.get('count')))
    response.end()
  } else if (room === 'logs') listener(incoming, response)
  else if (room === 'peers' && peersModule !== undefined)
    await (
      await loadPeers(peersModule)
    )(incoming, response, pathname, searchParams)
  else if (room === 'raw') await raw(incoming, response, name, what)
  else if (room === 'clock') response.end(String(performance.timeOrigin + performance.now()))
  else await page(response, pathname)
}

const server = createServer((incoming, response) => {
  respond(incoming, response).catch((error: unknown) => {
    console.error(error)
    response.destroy()
  })
})
// Connections rest between runs, and none of them is opened under the clock.
server.keepAliveTimeout = 600_000
server.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`))
process.stdin.on('end', () => process.exit()).resume()
