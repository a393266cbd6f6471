/** The server of a run: the real one, over a log in memory, with the real texts of requests and responses. */
import {
  memoryLogStore,
  RequestRefusedError,
  serverLog,
  syncHandler,
  type LogStore,
  type ServerLog,
  type Refusal,
} from '../../../src/server/index.js'
import { PulledLines } from '../../../src/sync/pulled-lines.js'
import { pushedIn, pushText } from '../../../src/sync/push-text.js'
import { unlike } from '../../../src/sync/responses.js'
import type {
  AnsweredBy,
  InfoReply,
  PullReply,
  PushReply,
  RequestFailure,
  SyncEffect,
} from '../../../src/sync/sync-effects.js'
import type { WireCommit } from '../../../src/wire/protocol.js'

export type Request = Extract<SyncEffect, { kind: 'info' | 'pull' | 'push' }>
export type Reply = InfoReply | PullReply | PushReply

/** An event as the server has it. */
export interface Logged {
  readonly position: number
  readonly commit: number
  readonly id: string
  readonly stream: string
  readonly version: number
  readonly type: string
  readonly data: unknown
}

/** What the app's server does not want in the log. */
export const unwanted = 'Unwanted'

const accept = (commit: WireCommit): Refusal | undefined =>
  commit.events.some(({ type }) => type === unwanted) ? { code: 'rule', message: '' } : undefined

export class Service {
  readonly store = memoryLogStore()
  readonly #log = serverLog(this.store)
  #events: readonly Logged[] = []

  /** All events of the log, in order. */
  get events(): readonly Logged[] {
    return this.#events
  }

  has(id: string): boolean {
    return this.#events.some((event) => event.id === id)
  }

  /**
   * What the server makes of a request, when it arrives.
   *
   * @param found what it looked up before, as a server that does not look and decide in one atomic act
   */
  async serve(request: Request, author: string, found?: ReadonlySet<string>): Promise<Reply> {
    const as = request.kind === 'info' ? undefined : request.as
    try {
      const reply = await this.#serve(request, author, found && serverLog(torn(this.store, request, found)))
      return (reply.kind === 'page' || reply.kind === 'pushed' ? unlike(as, reply.by) : undefined) ?? reply
    } catch (error) {
      if (error instanceof TakenError) return { kind: 'busy' }
      if (!(error instanceof RequestRefusedError)) throw error
      const { status, problem } = error
      return { kind: 'refused', status, ...problem, by: await this.#by(author) }
    } finally {
      await this.read()
    }
  }

  /** The same, over HTTP. */
  async respond(request: globalThis.Request, author: string): Promise<Response> {
    const handler = syncHandler({ open: async () => ({ log: this.#log, author }), accept })
    const response = await handler(request.clone())
    // A page is read when it is made.
    const text = await response.text()
    await this.read()
    return new Response(text, { status: response.status, headers: response.headers })
  }

  /** Another user of the log, who asks as this one. */
  async pushAs(author: string, body: unknown): Promise<void> {
    await this.#log.push(body, { author })
    await this.read()
  }

  /** Which ids of a push are in the log now. */
  async lookUp(request: Request): Promise<ReadonlySet<string>> {
    const ids = request.kind === 'push' ? request.commits.flatMap(({ events }) => events.map(({ id }) => id)) : []
    return new Set(ids.filter((id) => this.has(id)))
  }

  async #serve(request: Request, author: string, log: ServerLog = this.#log): Promise<Reply> {
    const by = await this.#by(author)
    if (request.kind === 'info') return { kind: 'info', info: { ...(await this.#log.info()), author } }
    if (request.kind === 'push') {
      const body: unknown = JSON.parse(pushText(request))
      const answer = await log.push(body, { author, epoch: request.as.epoch, accept })
      return { ...pushedIn(JSON.stringify(answer), request), by }
    }
    const other: RequestFailure | undefined = unlike(request.as, by)
    if (other !== undefined) return other
    const { after, limit } = request
    const lines = new PulledLines(after, limit, by)
    for await (const text of await this.#log.pull({ after: after.at, chain: after.chain, limit }))
      for (const line of text.split('\n')) lines.add(line)
    return lines.page ?? { kind: 'offline' }
  }

  async #by(author: string): Promise<AnsweredBy> {
    return { ...(await this.store.identity()), author }
  }

  async read(): Promise<void> {
    const commits = await this.store.read(0, Infinity)
    if (this.#events.length === (await this.store.head()) && this.#backup === undefined) return
    this.#backup = undefined
    this.#events = commits.flatMap((commit) => commit.events.map(({ line }) => parsed(line)))
  }

  #backup: object | undefined

  /** @param isUnnoticed the server does not know that it was restored, and keeps its epoch */
  async restore(backup: ReturnType<Service['store']['snapshot']>, isUnnoticed: boolean): Promise<void> {
    this.store.restore(backup, { sameEpoch: isUnnoticed })
    this.#backup = backup
    await this.read()
  }
}

const lines = new Map<string, Logged>()

function parsed(line: string): Logged {
  const known = lines.get(line)
  if (known !== undefined) return known
  if (lines.size > 20_000) lines.clear()
  const event = JSON.parse(line) as Logged
  lines.set(line, event)
  return event
}

class TakenError extends Error {}

/** A store of which some ids were looked up before the rest was decided. It has an index of ids. */
function torn(store: LogStore, request: Request, found: ReadonlySet<string>): LogStore {
  const own = new Set(
    request.kind === 'push' ? request.commits.flatMap(({ events }) => events.map(({ id }) => id)) : [],
  )
  return {
    ...bound(store),
    decide: (work) =>
      store.decide((log) =>
        work({
          epoch: log.epoch,
          head: log.head,
          chain: log.chain,
          find: async (ids) => new Map([...(await log.find(ids))].filter(([id]) => !own.has(id) || found.has(id))),
          last: (streams) => log.last(streams),
          verdicts: (author, ids) => log.verdicts(author, ids),
          after: (position) => log.after(position),
          add: async (commit) => {
            if ((await log.find(commit.events.map(({ id }) => id))).size > 0) throw new TakenError()
            await log.add(commit)
          },
          keep: (author, ids, verdict) => log.keep(author, ids, verdict),
        }),
      ),
  }
}

const bound = (store: LogStore): LogStore => ({
  identity: () => store.identity(),
  head: () => store.head(),
  chainAt: (position) => store.chainAt(position),
  read: (after, limit) => store.read(after, limit),
  decide: (work) => store.decide(work),
  subscribe: (listener) => store.subscribe(listener),
  close: () => store.close(),
})
