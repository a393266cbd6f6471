/** The server of a run: the real one, over a log in memory, with the real texts of requests and responses. */
import {
  memoryLogStore,
  RequestRefusedError,
  serverLog,
  type LogStore,
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

  /** What the server makes of a request, when it arrives. */
  async serve(request: Request, author: string): Promise<Reply> {
    const as = request.kind === 'info' ? undefined : request.as
    try {
      const reply = await this.#serve(request, author)
      return (reply.kind === 'page' || reply.kind === 'pushed' ? unlike(as, reply.by) : undefined) ?? reply
    } catch (error) {
      if (!(error instanceof RequestRefusedError)) throw error
      const { status, problem } = error
      return { kind: 'refused', status, ...problem, by: await this.#by(author) }
    } finally {
      await this.read()
    }
  }

  /** Another user of the log, who asks as this one. */
  async pushAs(author: string, body: unknown): Promise<void> {
    await this.#log.push(body, { author })
    await this.read()
  }

  /** Two processes of which each decides first and stores later: what the first one is about to store. */
  lateStore(): LogStore {
    const { store } = this
    return {
      ...bound(store),
      decide: (work) =>
        store.decide((log) =>
          work({
            head: log.head,
            chain: log.chain,
            epoch: log.epoch,
            find: (ids) => log.find(ids),
            last: (streams) => log.last(streams),
            // Looked at when it decided.
            verdicts: async () => new Map(),
            after: (position) => log.after(position),
            add: (commit) => log.add(commit),
            keep: async () => {},
          }),
        ),
    }
  }

  /** Whether the server would store this commit now. Stores nothing. */
  async wouldStore(body: string, { epoch }: AnsweredBy, author: string): Promise<boolean> {
    let stored = false
    const peeking: LogStore = {
      ...bound(this.store),
      decide: async (work) => {
        const undone = new Error('peek')
        try {
          return await this.store.decide(async (log) => {
            const { head } = log
            await work(log)
            stored = log.head > head
            throw undone
          })
        } catch (error) {
          if (error !== undone) throw error
          return { head: 0, answers: [] } as never
        }
      },
    }
    await serverLog(peeking).push(JSON.parse(body), { author, epoch, accept })
    return stored
  }

  async #serve(request: Request, author: string): Promise<Reply> {
    const by = await this.#by(author)
    if (request.kind === 'info') return { kind: 'info', info: { ...(await this.#log.info()), author } }
    if (request.kind === 'push') {
      const body: unknown = JSON.parse(pushText(request))
      const answer = await this.#log.push(body, { author, epoch: request.as.epoch, accept })
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

const bound = (store: LogStore): LogStore => ({
  identity: () => store.identity(),
  head: () => store.head(),
  chainAt: (position) => store.chainAt(position),
  read: (after, limit) => store.read(after, limit),
  decide: (work) => store.decide(work),
  subscribe: (listener) => store.subscribe(listener),
  close: () => store.close(),
})
