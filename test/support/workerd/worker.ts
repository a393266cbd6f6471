/**
 * What the tests of Durable Objects run inside workerd: logs behind a Worker that knows its users by a header, and objects
 * that run the cases of `logStoreContract`.
 */
import { durableLog, durableLogStore, isTicketed, type DurableContext } from 'tidemark/durable-object'
import { logStoreContract } from 'tidemark/testing'
import { refusalOf } from '../refusing.js'
import { limitCases } from './limit-cases.js'

/** Of this process. */
let commits = 0
let hangs = false
/** `before@3` hangs before the third commit is stored, `after@3` when it is; workerd is killed then. */
let killAt: string | undefined

interface Namespace {
  idFromName(name: string): unknown
  get(id: unknown): { fetch(request: Request): Promise<Response> }
}

type Context = DurableContext & { readonly storage: { sync(): Promise<void>; deleteAll(): Promise<void> } }

interface Env {
  /** Changed when the operator put a backup in place. */
  readonly GENERATION: string
  /** What `killAt` is in the beginning. */
  readonly KILL: string
  readonly ORIGINS: string
  readonly LOG: Namespace
  readonly CASES: Namespace
}

export class Log {
  readonly #ctx: Context
  readonly #log: ReturnType<typeof durableLog>
  /** When this object was made. */
  readonly #since = Date.now()
  #skipped = 0
  /** The owner's rules wait for commits in this stream. */
  #heldStream: string | null = null
  readonly #held: (() => void)[] = []
  #alarms = 0
  #hasNoAlarms = false
  #rows = 0

  constructor(ctx: Context, { GENERATION, KILL, ORIGINS }: Env) {
    this.#ctx = ctx
    killAt ??= KILL
    this.#log = durableLog(this.#counting(ctx), {
      generation: GENERATION,
      session(request) {
        const user = request.headers.get('X-User')
        if (user === null) return Response.json({ code: 'unauthorized', message: 'Who are you?' }, { status: 401 })
        // As a Worker would that forgot to say who it is.
        return { author: user === 'forgotten' ? null : decodeURIComponent(user) }
      },
      accept: async ({ events }) => {
        if (events[0]?.stream === this.#heldStream) await new Promise<void>((resolve) => void this.#held.push(resolve))
        return refusalOf(events)
      },
      origins: ORIGINS === '*' ? '*' : [ORIGINS],
      clock: {
        now: () => Date.now() + this.#skipped,
        monotonic: () => performance.now(),
        random: () => Math.random(),
        schedule(ms, callback) {
          const timer = setTimeout(callback, ms)
          return () => clearTimeout(timer)
        },
      },
    })
  }

  async fetch(request: Request): Promise<Response> {
    const url = new URL(request.url)
    const control = url.pathname.split('/')[3]
    if (control === 'own-socket') return this.#ownSocket()
    if (control === 'control') return Response.json(await this.#control(url.searchParams))
    const response = await this.#log.fetch(request)
    if (!hangs) return response
    await this.#ctx.storage.sync()
    console.log('kill now')
    return await new Promise<never>(() => {})
  }

  /** A socket of the app. */
  #ownSocket(): Response {
    const { 0: client, 1: own } = new (globalThis as unknown as { WebSocketPair: new () => [WebSocket, WebSocket] })[
      'WebSocketPair'
    ]()
    this.#ctx.acceptWebSocket(own, ['of-the-app'])
    own.send('hello')
    return new Response(null, { status: 101, webSocket: client } as ResponseInit)
  }

  /** The same object, and the rows that are written in it are counted as they are billed. */
  #counting(ctx: DurableContext): DurableContext {
    const { storage } = ctx
    const sql = {
      exec: (query: string, ...bindings: unknown[]) => {
        const [when, count] = (killAt ?? '').split('@')
        if (query.startsWith('insert into tidemark_commits') && (commits += 1) === Number(count)) {
          hangs = true
          if (when === 'before') {
            console.log('kill now')
            // Nothing is stored, and no response is sent.
            for (;;);
          }
        }
        const cursor = storage.sql.exec(query, ...bindings)
        this.#rows += cursor.rowsWritten
        return cursor
      },
      get databaseSize() {
        return storage.sql.databaseSize
      },
    }
    return {
      storage: {
        sql,
        transactionSync: (work) => storage.transactionSync(work),
        getAlarm: async () => {
          if (this.#hasNoAlarms) throw new Error('There are no alarms here.')
          return storage.getAlarm()
        },
        setAlarm: (time) => storage.setAlarm(time),
        getCurrentBookmark: () => storage.getCurrentBookmark(),
        getBookmarkForTime: (time) => storage.getBookmarkForTime(time),
        onNextSessionRestoreBookmark: (bookmark) => storage.onNextSessionRestoreBookmark(bookmark),
      },
      acceptWebSocket: (socket, tags) => ctx.acceptWebSocket(socket, tags),
      getWebSockets: (tag) => ctx.getWebSockets(tag),
      getTags: (socket) => ctx.getTags(socket),
      setWebSocketAutoResponse: (pair) => ctx.setWebSocketAutoResponse(pair),
      abort: (reason) => ctx.abort(reason),
    }
  }

  async #control(asked: URLSearchParams): Promise<unknown> {
    const { storage } = this.#ctx
    switch (asked.get('do')) {
      case 'abort':
        this.#ctx.abort('by the test')
        return {}
      case 'kill':
        killAt = asked.get('at') ?? ''
        commits = 0
        return {}
      case 'renew-epoch':
        await this.#log.renewEpoch()
        return {}
      case 'skip':
        this.#skipped = Number(asked.get('ms'))
        return {}
      case 'hold':
        this.#heldStream = asked.get('stream')
        if (this.#heldStream === null) for (const proceed of this.#held) proceed()
        return {}
      case 'alarm':
        return { at: await storage.getAlarm() }
      case 'alarm-at':
        await storage.setAlarm(Number(asked.get('at')))
        return {}
      case 'no-alarms':
        this.#hasNoAlarms = asked.get('are') === 'there'
        return {}
      case 'delete-all':
        await storage.deleteAll()
        return {}
      case 'restore':
        return await this.#log.restore(asked.get('to') ?? '')
      case 'tables':
        return {
          tables: storage.sql
            .exec("select count(*) as n from sqlite_master where name like 'tidemark%'")
            .toArray()[0]?.['n'],
        }
      case 'stats':
        return {
          ...(await this.#log.stats()),
          since: this.#since,
          alarms: this.#alarms,
          rows: this.#rows,
          held: this.#held.length,
          refusals: storage.sql.exec('select count(*) as n from tidemark_refusals').toArray()[0]?.['n'],
        }
      default:
        throw new Error('Unknown')
    }
  }

  webSocketMessage(socket: WebSocket, message: unknown): void {
    this.#log.webSocketMessage(socket, message)
  }

  webSocketClose(socket: WebSocket): void {
    this.#log.webSocketClose(socket)
  }

  async alarm(): Promise<void> {
    this.#alarms += 1
    await this.#log.alarm()
  }
}

/** One case in an object of its own. */
export class Cases {
  readonly #ctx: DurableContext

  constructor(ctx: DurableContext) {
    this.#ctx = ctx
  }

  async fetch(request: Request): Promise<Response> {
    const name = new URL(request.url).searchParams.get('case')
    const all = allCases(this.#ctx)
    if (name === null) return Response.json(all.map((each) => each.name))
    try {
      const skipped: string[] = []
      await all.find((each) => each.name === name)?.run({ skip: (reason: string) => skipped.push(reason) })
      return Response.json(skipped.length > 0 ? { skipped } : {})
    } catch (error) {
      return Response.json({ error: String(error) })
    }
  }
}

function allCases(ctx: DurableContext) {
  const open = async () => {
    const store = durableLogStore(ctx)
    let current = store
    return {
      store,
      another: async () => durableLogStore(ctx),
      async reopen() {
        await current.close()
        current = durableLogStore(ctx)
        return current
      },
      dispose: () => current.close(),
    }
  }
  return [...logStoreContract(open), ...limitCases(ctx)]
}

export default {
  async fetch(request: Request, { LOG, CASES }: Env): Promise<Response> {
    const url = new URL(request.url)
    const [, kind, name = ''] = url.pathname.split('/')
    if (kind === 'cases') return await CASES.get(CASES.idFromName(url.search)).fetch(request)
    if (isTicketed(request) || request.headers.has('X-User') || kind === 'logs')
      return await LOG.get(LOG.idFromName(name)).fetch(request)
    return new Response(null, { status: 404 })
  },
}
