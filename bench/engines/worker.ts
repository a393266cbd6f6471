/** What runs inside workerd: logs of tidemark, with the rows that they write counted, and objects that are written to by hand. */
import { durableLog, isTicketed, type DurableContext, type DurableSocket } from 'tidemark/durable-object'
import type { WireCommit } from 'tidemark/server'

interface Namespace {
  idFromName(name: string): unknown
  get(id: unknown): { fetch(request: Request): Promise<Response> }
}

interface Env {
  readonly LOG: Namespace
  readonly RAW: Namespace
}

export class Log {
  readonly #log: ReturnType<typeof durableLog>
  #rows = 0

  constructor(ctx: DurableContext) {
    this.#log = durableLog(this.#counting(ctx), {
      session: (request) => ({ author: request.headers.get('X-User') }),
      origins: '*',
    })
  }

  async fetch(request: Request): Promise<Response> {
    if (!request.url.endsWith('/stats')) return await this.#log.fetch(request)
    return Response.json({ ...(await this.#log.stats()), rows: this.#rows })
  }

  #counting(ctx: DurableContext): DurableContext {
    const { storage } = ctx
    const exec = (query: string, ...bindings: unknown[]) => {
      const cursor = storage.sql.exec(query, ...bindings)
      this.#rows += cursor.rowsWritten
      return cursor
    }
    const sql = new Proxy(storage.sql, { get: (target, name) => (name === 'exec' ? exec : own(target, name)) })
    const counted = new Proxy(storage, { get: (target, name) => (name === 'sql' ? sql : own(target, name)) })
    return new Proxy(ctx, { get: (target, name) => (name === 'storage' ? counted : own(target, name)) })
  }

  webSocketMessage(socket: DurableSocket, message: unknown): void {
    this.#log.webSocketMessage(socket, message)
  }

  webSocketClose(socket: DurableSocket): void {
    this.#log.webSocketClose(socket)
  }

  async alarm(): Promise<void> {
    await this.#log.alarm()
  }
}

/** Objects of the runtime have methods that work on themselves alone. */
function own<T extends object>(target: T, name: string | symbol): unknown {
  const value: unknown = Reflect.get(target, name, target)
  return typeof value === 'function' ? value.bind(target) : value
}

/** The same rows by hand: nothing is checked, decided or asked for. */
export class Raw {
  readonly #storage: DurableContext['storage']
  readonly #versions = new Map<string, number>()
  #head = 0

  constructor({ storage }: DurableContext) {
    this.#storage = storage
    storage.sql.exec(
      `create table if not exists commits ("end" integer primary key, n integer, author text, lines text)`,
    )
    storage.sql.exec(`create table if not exists ids (key text, "end" integer, primary key (key, "end")) without rowid`)
    storage.sql.exec(`create table if not exists streams (stream text primary key, position integer) without rowid`)
  }

  async fetch(request: Request): Promise<Response> {
    const { commits } = (await request.json()) as { commits: WireCommit[] }
    this.#storage.transactionSync(() => {
      for (const { events } of commits) this.#add(events)
    })
    return Response.json({ head: this.#head })
  }

  #add(events: WireCommit['events']): void {
    const { sql } = this.#storage
    const [commit, stream] = [this.#head + 1, events[0]?.stream ?? '']
    let version = this.#versions.get(stream) ?? 0
    const lines = events.map((event) => {
      version += 1
      return JSON.stringify({ position: (this.#head += 1), commit, version, ...event })
    })
    this.#versions.set(stream, version)
    sql.exec(`insert into commits values (?, ?, 'anna', ?)`, this.#head, events.length, lines.join('\n'))
    sql.exec(`insert into ids values (?, ?)`, events[0]?.id.slice(0, 13), this.#head)
    sql.exec(`insert or replace into streams values (?, ?)`, stream, this.#head)
  }
}

export default {
  async fetch(request: Request, { LOG, RAW }: Env): Promise<Response> {
    const [, room, name = ''] = new URL(request.url).pathname.split('/')
    if (room === 'raw') return await RAW.get(RAW.idFromName(name)).fetch(request)
    if (room === 'logs' && (isTicketed(request) || request.headers.has('X-User')))
      return await LOG.get(LOG.idFromName(name)).fetch(request)
    return new Response(null, { status: 404 })
  },
}
