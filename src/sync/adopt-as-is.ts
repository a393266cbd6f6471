/** Adopting into the log of a server that is empty: it becomes what the local log is, and no commit waits in an outbox. */
import { abortWith } from '../platform/abort-with.js'
import { sleep } from '../platform/clock.js'
import { startDeadline } from '../platform/deadline.js'
import { adoptedAsIs, rowOf, type LocalCommit, type LocalLog } from './rules/adopted.js'
import { isBy, met } from './rules/contact.js'
import type { AnsweredBy, PulledPage, PushReply } from './sync-effects.js'
import type { SyncParts } from './sync-parts.js'
import type { Cursor, SyncSnapshot } from './sync-state.js'
import { openTransport, type Transport } from './transport.js'

/** How long the server may take for the first requests, and for each later one, ms: no view shows the commits before. */
const patience = { first: 5_000, later: 20_000 }
/** How often a server that has responded once is asked, if it does not respond any more. */
const mostTries = 3

/**
 * - `'taken'`: they are in both logs
 * - `'again'`: something else was stored meanwhile, or the server was not reached: look again
 * - `'no'`: the log of the server is another one, or it cannot be reached
 */
export type TakenAsIs = 'taken' | 'again' | 'no'

export class AdoptingAsIs {
  readonly #parts: SyncParts
  readonly #signals: readonly (AbortSignal | undefined)[]
  readonly #transport: Transport
  /** Who the server is, once it was found to know the log of this device. */
  #as: AnsweredBy | undefined
  #hasBegun = false
  #failures = 0
  /** The first no is the last word. */
  isOver = false

  /** @param signals the server is not waited for any longer */
  constructor(parts: SyncParts, signals: readonly (AbortSignal | undefined)[]) {
    this.#parts = parts
    this.#signals = signals
    this.#transport = openTransport(parts.remote, parts.clock)
  }

  /** Sends commits, if both logs end where they begin and nothing else is to be sent, and stores them as confirmed. */
  async take(
    { state, outbox }: SyncSnapshot,
    local: LocalLog,
    commits: readonly LocalCommit[],
    upTo: number,
  ): Promise<TakenAsIs> {
    const after = (commits[0] as LocalCommit).at - 1
    if (this.isOver || outbox.length > 0 || state.paused === true || state.cursor.at !== after) return this.#no()
    const reply = await this.#within((signal) => this.#push(commits, after, signal))
    if (reply === undefined) return this.#unreached()
    if (reply.kind !== 'pushed') return this.#no()
    const page = pageOf(reply, state.cursor, commits, upTo)
    if (page === undefined) return this.#no()
    this.#hasBegun = true
    return this.#store(local, state.identity, page)
  }

  #no(): 'no' {
    this.isOver = true
    return 'no'
  }

  async #unreached(): Promise<TakenAsIs> {
    this.#as = undefined
    this.#failures += 1
    if (!this.#hasBegun || this.#failures === mostTries || this.#isGivenUp) return this.#no()
    await this.#within((signal) => sleep(this.#parts.clock, 1_000 * 2 ** this.#failures, signal))
    return 'again'
  }

  /** The reply to a push, if it is final; nothing where another try may have another result. */
  async #push(commits: readonly LocalCommit[], at: number, signal: AbortSignal): Promise<PushReply | undefined> {
    const as = (this.#as ??= await this.#meet(signal))
    if (as === undefined) return undefined
    const reply = await this.#transport.push({ commits: commits.map(rowOf), cancel: [], at, as }, signal)
    const isFinal = reply.kind === 'pushed' || (reply.kind === 'refused' && reply.code !== 'other-epoch')
    return isFinal ? reply : undefined
  }

  /** Who responds, if that is the server of this store, and has the log of this device. */
  async #meet(signal: AbortSignal): Promise<AnsweredBy | undefined> {
    const { outbox } = this.#parts
    const reply = await this.#transport.info(signal)
    if (reply.kind !== 'info') return undefined
    const { log, epoch, author, head } = reply.info
    const by = { log, epoch, author }
    while ((await outbox.change(await outbox.fresh(), (snapshot) => met(snapshot, by, head))).kind === 'moved');
    const { state } = await outbox.fresh()
    // Another log, or another user than the one whose store this is: nothing is sent there.
    if (!isBy(state, by)) return undefined
    const { cursor } = state
    // Whether it knows the chain. What follows may be what was sent, of which no response came.
    const page = await this.#transport.pull({ after: cursor, limit: 1, as: by }, signal)
    return page.kind === 'page' ? by : undefined
  }

  async #store(local: LocalLog, identity: string, page: PulledPage): Promise<TakenAsIs> {
    const { outbox } = this.#parts
    for (;;) {
      const snapshot = await outbox.fresh()
      const changed = await outbox.change(snapshot, (now) => adoptedAsIs(now, local, identity, page))
      if (changed.kind === 'stored') {
        this.#failures = 0
        return 'taken'
      }
      if (changed.kind === 'inconsistent') return this.#no()
      if (changed.kind === 'unchanged') {
        // The log, or the server, is another one now. A server that is another one each time is given up.
        this.#as = undefined
        return (this.#failures += 1) < mostTries ? 'again' : this.#no()
      }
    }
  }

  get #isGivenUp(): boolean {
    return this.#signals.some((signal) => signal?.aborted)
  }

  /** What the work returns; nothing if it takes too long, or is not waited for any longer. */
  async #within<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T | undefined> {
    const controller = new AbortController()
    const span = this.#hasBegun ? patience.later : patience.first
    const cancel = startDeadline(this.#parts.clock, span, () => controller.abort())
    const undo = abortWith(controller, ...this.#signals)
    try {
      return await work(controller.signal)
    } catch (error) {
      if (!controller.signal.aborted) throw error
      return undefined
    } finally {
      cancel()
      undo()
    }
  }
}

/** What was pushed, as a page that is pulled; nothing if it is not all there, at its positions, with nothing behind it. */
function pageOf(
  { by, head, chain, answers }: PushReply & { readonly kind: 'pushed' },
  after: Cursor,
  commits: readonly LocalCommit[],
  upTo: number,
): PulledPage | undefined {
  const isAsIs =
    head === upTo &&
    commits.every(({ at, events }, index) => {
      const answer = answers[index]
      return answer !== undefined && 'accepted' in answer && answer.id === events[0]?.id && answer.accepted === at
    })
  if (!isAsIs || chain === undefined) return undefined
  const first = after.at + 1
  return {
    kind: 'page',
    by,
    after,
    events: {
      at: first,
      events: commits.flatMap(({ events }) => events),
      versions: commits.flatMap(({ versions }) => versions),
      starts: new Set(commits.map(({ at }) => at - first)),
    },
    cursor: { at: upTo, chain },
    head,
  }
}
