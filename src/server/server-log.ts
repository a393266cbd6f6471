/** One log as a server offers it: what becomes of pushed commits, and pages of the log. */
import { InvalidArgumentError } from '../errors.js'
import { say } from '../messages.js'
import { cut } from '../platform/cut.js'
import { isObject } from '../platform/objects.js'
import {
  leastLimits,
  maxRefusal,
  protocolVersion,
  type LogInfo,
  type PushAnswer,
  type WireCommit,
} from '../wire/protocol.js'
import { checkPush, type CheckedCommit, type Refusal } from './check-push.js'
import type { LogDecision, LogStore } from './log-store.js'
import { loadState, questionsOf, type PushState } from './push-state.js'
import { settle } from './settle-push.js'
import { pagesOf } from './pull-page.js'
import { otherEpoch, RequestRefusedError } from './request-refused.js'
import { acceptFailed, askable, type Objection } from './rules.js'
import { isWholeFrom } from './shapes.js'

/** Who pushes, and what may be pushed. */
export interface PushSession {
  /** Whose commits these are: refusals and cancels are the author's own. */
  readonly author: string
  /** The epoch that the request was made under. Another one than that of the log is refused. @default not compared */
  readonly epoch?: string
  /**
   * Called for each commit on which there is no verdict yet, once what it requires is in the log or sent before it, and
   * before anything is locked. What it returns is why the commit is refused, for good; if what it requires was not stored
   * yet, the push ends before it, and it is called again. A commit for which it throws is not decided, and holds up no other one. If it throws for
   * all that it is asked about, the push rejects with that, and nothing of it is stored. A code may have 255 characters; a
   * message is cut behind 1,000.
   *
   * @default every commit is accepted
   */
  readonly accept?: (commit: WireCommit) => void | undefined | Refusal | Promise<void | undefined | Refusal>
  /** Gets what `accept` threw for a commit, where the push succeeds all the same. @default nothing is done */
  readonly onError?: (error: unknown) => void
}

/** Which page of the log. */
export interface PullRequest {
  /** The position where the page before ended; 0 for the first one. */
  readonly after: number
  /** The chain that came with that position. Needed unless `after` is 0. */
  readonly chain?: string | undefined
  /** The epoch that the request was made under. Another one than that of the log is refused. @default not compared */
  readonly epoch?: string
  /** The most events, but a commit is never divided. @default 5000, which is the most */
  readonly limit?: number | undefined
}

/** The end of a log, as a short page. */
export interface LogTail {
  readonly head: number
  /** The chain where it begins. */
  readonly chain: string
  /** Those of a page: JSON, without line feeds. */
  readonly lines: readonly string[]
}

/** One log as a server offers it. */
export interface ServerLog {
  /** What the log is and how far it is. */
  info(): Promise<Omit<LogInfo, 'author'>>
  /**
   * Decides and stores what a device pushes, commit by commit, as one atomic act.
   *
   * @param body a `PushBody`, checked before anything is done with it
   * @throws RequestRefusedError for what is no push (422), under another epoch, or with `at` if the log has moved (409)
   */
  push(body: unknown, session: PushSession): Promise<PushAnswer>
  /**
   * A page as text, in parts that hold whole lines. It rejects before the first line if the log is not the one that
   * `chain` is of; while it is read, if the log goes back.
   *
   * @throws RequestRefusedError for a position and chain that are not of this log (409), for bad arguments (400)
   */
  pull(page: PullRequest): Promise<AsyncIterable<string>>
  /**
   * What came behind a position where a commit ends, to be sent together with the hint of it; nothing where that is long.
   * Without this method hints say the head alone.
   */
  tail?(after: number): Promise<LogTail | undefined>
  /** Calls back when the log may have grown. A hint: calls may be lost, delayed or doubled. */
  subscribe(listener: (head: number) => void): () => void
}

/** What goes with a hint at most, in characters. */
const longestTail = 16_384

/** The most events of a page. */
const longestPage = 5000

/**
 * A log over any store that passes `logStoreContract` of `tidemark/testing`. Verdict and storage of a push are one
 * atomic act of the store, so several processes may serve one log if the store allows it.
 *
 * @example
 * const log = serverLog(memoryLogStore())
 * const handler = syncHandler({ open: async (request) => ({ log, author: await userOf(request) }) })
 */
export function serverLog(store: LogStore): ServerLog {
  if (!isObject(store) || typeof (store as Partial<LogStore>).decide !== 'function')
    throw new InvalidArgumentError('store', say`must be a log store, such as memoryLogStore().`)
  return {
    info: async () => {
      // In one turn, so that a backend may ask for both at the same time.
      const [{ log, epoch }, head] = await Promise.all([store.identity(), store.head()])
      return { log, epoch, head, first: 1, format: protocolVersion, limits: leastLimits }
    },
    push: (body, session) => push(store, body, session),
    pull: (page) => pull(store, page),
    tail: tails(store),
    subscribe: (listener) => store.subscribe(listener),
  }
}

async function push(store: LogStore, body: unknown, session: PushSession): Promise<PushAnswer> {
  const asked = checkPush(body)
  const { accept, onError } = session
  const replies = new Map<CheckedCommit, Objection | undefined>()
  const asks = questionsOf(session.author, asked)
  const stateOf = (log: LogDecision) => {
    if (session.epoch !== undefined && session.epoch !== log.epoch) throw otherEpoch()
    return loadState(log, asks, asked)
  }
  const unaskedIn = (state: PushState) =>
    accept === undefined ? [] : askable(asked, state).filter(({ commit }) => !replies.has(commit))
  // The commits that `accept` is to be asked about. `accept` may take long, so it is asked before anything is locked.
  let unasked = accept && (await store.peek?.(async (log) => unaskedIn(await stateOf(log)), asks))
  for (; ; unasked = undefined) {
    if (!unasked?.length) {
      // A restore in between may have taken back a verdict that was there: then `accept` is asked after all.
      const outcome = await store.decide(async (log) => {
        const state = await stateOf(log)
        const missing = unaskedIn(state)
        return missing.length > 0 ? missing : await settle(log, session.author, state, asked, replies)
      }, asks)
      if ('head' in outcome) return outcome
      unasked = outcome
    }
    let failed = 0
    const errors: unknown[] = []
    for (const { commit, isEarly } of unasked) {
      let refusal: Refusal | undefined
      try {
        refusal = refusalOf(await accept?.(commit.given))
      } catch (error) {
        failed += 1
        // It is asked again immediately. The first one that is asked about is never early.
        if (!isEarly) errors.push(error)
        refusal = acceptFailed
      }
      replies.set(commit, refusal && { refusal, isEarly })
    }
    // Where it fails for all, it is the server that fails.
    if (failed === unasked.length) throw errors[0]
    for (const error of errors) onError?.(error)
  }
}

/** @throws InvalidArgumentError for anything else than a refusal or nothing, such as `false`, whatever that means */
function refusalOf(reply: unknown): Refusal | undefined {
  if (reply === undefined) return undefined
  const { code, message } = Object(reply) as Partial<Refusal>
  if (!code || typeof code !== 'string' || typeof message !== 'string' || code.length > maxRefusal.code)
    throw new InvalidArgumentError(
      'accept',
      say`must return nothing or { code, message }, the code of at most ${maxRefusal.code} characters.`,
    )
  return { code, message: cut(message, maxRefusal.message) }
}

async function pull(store: LogStore, page: PullRequest): Promise<AsyncIterable<string>> {
  const { after, chain, limit = longestPage } = page
  if (!isWholeFrom(after, 0)) throw badRequest(say`'after' must be a position.`)
  if (!isWholeFrom(limit, 1)) throw badRequest(say`'limit' must be a whole number from 1.`)
  if (after > 0 && chain === undefined) throw badRequest(say`'chain' is missing.`)
  const start = await startAt(store, after)
  if (page.epoch !== undefined && page.epoch !== start.epoch) throw otherEpoch()
  if (start.chain === undefined || (chain !== undefined && chain !== start.chain))
    throw new RequestRefusedError(409, 'diverged', say`The log does not have this chain at ${after}.`)
  return pagesOf(store, { ...start, chain: start.chain, limit: Math.min(limit, longestPage) })
}

/** Where a page begins: without a chain where no commit ends. */
async function startAt(store: LogStore, after: number) {
  const [identity, head, chain] = await Promise.all([store.identity(), store.head(), store.chainAt(after)])
  return { ...identity, head, after, chain }
}

/** The end of the log behind a position. All who listen to a log ask for the same one, so it is read once. */
function tails(store: LogStore): (after: number) => Promise<LogTail | undefined> {
  let last: { readonly after: number; readonly head: number; readonly tail: Promise<LogTail | undefined> } | undefined
  return async (after) => {
    const head = await store.head()
    if (last?.after !== after || last.head !== head) {
      last = { after, head, tail: readTail(store, after) }
      last.tail.catch(() => (last = undefined))
    }
    return last.tail
  }
}

async function readTail(store: LogStore, after: number): Promise<LogTail | undefined> {
  const { chain, ...start } = await startAt(store, after)
  if (chain === undefined) return undefined
  let text = ''
  for await (const part of pagesOf(store, { ...start, chain, limit: longestPage })) {
    text += part
    if (text.length > longestTail) return undefined
  }
  return { head: start.head, chain, lines: text.trimEnd().split('\n') }
}

const badRequest = (message: string) => new RequestRefusedError(400, 'bad-request', message)
