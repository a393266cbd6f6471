/** A round: pulls to the server's head, pushes all, decides again what has a conflict, always the most urgent first. */
import { pauseBefore } from '../../platform/backoff.js'
import { leastLimits, maxEntries } from '../../wire/protocol.js'
import { wireSize } from '../commit-text.js'
import { answered } from '../rules/verdicts.js'
import { firstBatch, firstCancels, toSend, waitingBatch } from '../rules/batches.js'
import { decided, nextVersion, type DecidedCommit } from '../rules/decided.js'
import { foundInLog } from '../rules/found-in-log.js'
import { idsOf, isPending, needsOf, wireId } from '../rules/outbox-draft.js'
import { pulled } from '../rules/pulled.js'
import { sent } from '../rules/sent.js'
import { ask, isPartial, type AnsweredBy, type PushReply, type SyncSteps, type Woken } from '../sync-effects.js'
import type { OutboxRow, SyncSnapshot } from '../sync-state.js'
import { tooLarge } from '../rules/refusal-texts.js'
import { isSameRecordAt } from '../rules/same-event.js'
import { heal } from './give-back.js'
import { lookThrough } from './look-through.js'
import { again, isStorageFailure, type Ended, type MachineOptions, type Session } from './session.js'
import { leadsNowhere, outOfSpace, requestTrouble, storageTrouble, type Trouble } from './trouble.js'

const defaultPage = 5000
/** How many commits are decided again before that is stored. */
const decidedAtOnce = 100
/** A commit that came too late more often than this is tried again after pauses, which grow to the longest one, in ms. */
const quickTries = 30
const betweenTries = { delay: 50, maxDelay: 2_000 }
/** A push of this size is never made smaller because it did not arrive in time, in bytes: every connection carries it. */
const shortPush = 65_536
/** If a server wants to be left alone for longer than this, in ms, that holds for all requests, and not for one commit. */
const longestAside = 60_000

/** Of the commits to be decided again, the most tries of one that came too late each time. */
const mostTries = ({ outbox }: SyncSnapshot): number =>
  outbox.reduce((most, { undecided, tries = 0 }) => (undecided === undefined ? most : Math.max(most, tries)), 0)

export class Round {
  readonly #session: Session
  readonly #options: MachineOptions
  /** Halved by a server that takes less. */
  #pushBytes: number
  /** Whether to pull although the server did not say that it has more. */
  #wantsPull = true
  /** Where the next push of waiting commits begins; `undefined`: they were all tried. */
  #waitingFrom: number | undefined
  /** Versions of commits that the server said it has, in this round: what it lost nevertheless is sent in the next one. */
  readonly #tried = new Set<string>()
  /** The epoch of the server that said so. */
  #epoch: string | undefined
  #isFull = false
  /** A push had no result: next time it comes after a pull, so that no push keeps this device from what others did. */
  #pullsFirst = false
  /** A push had a result: a pull comes before the next one, so that an app that appends without end holds up none. */
  #wasPushed = false
  /** How many commits were decided again since the last push. */
  #decisions = 0
  /**
   * How long to let others write before a commit that came too late often is tried again, in ms. Everything else is
   * synced meanwhile.
   */
  pause = 0
  /** The most commits that one push cancels: halved by a server that takes less. */
  #mostCancels = maxEntries
  /** Why the last push of commits that are behind had no result. */
  #aside: Trouble | undefined

  constructor(session: Session, options: MachineOptions) {
    this.#session = session
    this.#options = options
    this.#pushBytes = options.pushBytes ?? leastLimits.pushBytes
  }

  /** What was loaded is up to date. `woken`: why there is a round. */
  *steps(woken: Woken): SyncSteps<Ended> {
    const session = this.#session
    this.#wantsPull = woken !== 'own-append' || this.#pullsFirst
    // A server that was asked a moment ago for what is behind lacks it still: what arrives is noticed when it is pulled.
    this.#waitingFrom = isPartial(woken) ? undefined : -Infinity
    if (woken !== 'own-append' && woken !== 'server') this.pause = 0
    this.#tried.clear()
    this.#isFull = false
    this.#decisions = 0
    if (session.at.state.remote === undefined) {
      // A server that was not there stays offline until it responds.
      if (session.failures === 0) yield* session.report('working')
      const ended = yield* session.greet()
      if (ended !== undefined) return ended
    }
    yield* session.report('working')
    for (;;) {
      const step = this.#next()
      if (step === undefined) return this.#isFull ? outOfSpace : this.#aside
      const ended = yield* step
      if (ended !== undefined) return ended
    }
  }

  /** The most urgent thing that there is to do. */
  #next(): SyncSteps<Ended> | undefined {
    const { state, outbox } = this.#session.at
    // Another context met a restored server meanwhile: what it lost is sent before what comes later in its streams.
    if (state.remote?.epoch !== this.#epoch) this.#tried.clear()
    this.#epoch = state.remote?.epoch
    const isOld = !state.isFresh || state.head > state.cursor.at
    const isDue = !this.#isFull && (this.#wantsPull || isOld)
    // On what is known to be old the next version would have the same conflict, and each of them is a try.
    const decides = this.#options.decides !== false && !(this.#isFull && isOld) && this.pause === 0
    const undecided = decides ? outbox.find((row) => row.undecided !== undefined) : undefined
    // As many as one push takes go together, each decided on those before it.
    const decidesMore = undecided !== undefined && this.#decisions > 0 && this.#decisions < maxEntries
    const pullsFirst = this.#wasPushed || (this.#pullsFirst && this.#wantsPull) || decidesMore
    if (isDue && pullsFirst) return this.#pull()
    if (decidesMore) return this.#decide()
    const { waiting, cancel, commits } = toSend(this.#session.at)
    if (waiting.length === 0) this.#aside = undefined
    const isNew = (row: OutboxRow) => !this.#tried.has(wireId(row))
    if (state.isFresh) {
      const rows = commits.filter(isNew)
      const unwanted = cancel.filter(isNew)
      // Alone, so that a refusal of the whole request is about nothing else.
      if (unwanted.length > 0) return this.#push([], firstCancels(unwanted, this.#pushBytes, this.#mostCancels))
      if (rows.length > 0) return this.#push(firstBatch(rows, this.#pushBytes), [])
    }
    if (isDue) return this.#pull()
    if (undecided !== undefined) return this.#decide()
    if (state.isFresh && this.#waitingFrom !== undefined) {
      const { rows, next } = waitingBatch(waiting, this.#waitingFrom, this.#pushBytes)
      this.#waitingFrom = next
      if (rows.length > 0) return this.#push(rows, [], true)
    }
    return undefined
  }

  *#pull(): SyncSteps<Ended> {
    const session = this.#session
    this.#wasPushed = false
    const { cursor, head } = session.at.state
    const limit = this.#options.pageSize ?? defaultPage
    const reply = yield* ask({ kind: 'pull', after: cursor, limit, as: session.as })
    if (reply.kind === 'full') {
      this.#isFull = true
      return undefined
    }
    if (reply.kind === 'refused' && reply.code === 'diverged') {
      const met = reply.by && (yield* session.meet(reply.by))
      return met ?? (yield* heal(session, this.#options))
    }
    if (reply.kind !== 'page') return yield* session.refused(reply)
    const ended = (yield* session.meet(reply.by)) ?? (yield* session.store((snapshot) => pulled(snapshot, reply)))
    // (N99) Nothing is stored of a page that does not follow, and a hint stops no sync.
    if (reply.isHint === true && typeof ended === 'object' && ended.reason === 'inconsistent') return undefined
    if (ended !== undefined) return ended
    this.#wantsPull = false
    const { state } = session.at
    // Nothing came although there is more: it is asked for again later.
    if (state.cursor.at === cursor.at && state.head > cursor.at && state.head >= head) return leadsNowhere()
    if (head > state.cursor.at || reply.cursor.at > cursor.at) yield* session.report('working')
    return undefined
  }

  /** @param isAside these commits wait anyway: a server that cannot decide about them holds up no other */
  *#push(commits: readonly OutboxRow[], unwanted: readonly OutboxRow[], isAside = false): SyncSteps<Ended> {
    const session = this.#session
    this.#decisions = 0
    const looked = yield* lookThrough(session, commits)
    if (looked !== undefined) return looked === 'done' ? undefined : looked
    if (sent(session.at, commits) !== undefined) {
      const ended = yield* session.storeOnce((snapshot) => sent(snapshot, commits))
      if (ended !== undefined) return ended === again ? undefined : ended
    }
    const { identity } = session.at.state
    const cancel = unwanted.map(({ events }) => events.map(({ id }) => id))
    const reply = yield* ask({ kind: 'push', commits, cancel, as: session.as })
    if (reply.kind === 'refused' && reply.status === 413) return yield* this.#tooLarge(commits, unwanted, reply)
    if ('isSlow' in reply) this.#tooSlow([...commits, ...unwanted])
    this.#pullsFirst = reply.kind === 'busy' || reply.kind === 'offline'
    this.#wasPushed = reply.kind === 'pushed'
    if (reply.kind !== 'pushed') {
      if (!isAside || reply.kind !== 'busy' || (reply.after ?? 0) > longestAside) return yield* session.refused(reply)
      this.#aside = { ...requestTrouble(reply), isAside }
      this.#waitingFrom = undefined
      return undefined
    }
    if (isAside) this.#aside = undefined
    return (yield* session.meet(reply.by)) ?? (yield* this.#take(reply, identity))
  }

  *#take(reply: PushReply & { readonly kind: 'pushed' }, identity: string): SyncSteps<Ended> {
    const session = this.#session
    const { by, head, answers } = reply
    if (answers.length === 0) return leadsNowhere()
    const accepted = answers.flatMap((each) => ('accepted' in each ? [each.id] : []))
    for (const id of accepted) this.#tried.add(id)
    const before = mostTries(session.at)
    const ended = yield* session.store((snapshot) => answered(snapshot, { by, identity, head, answers }))
    if (ended !== undefined) return ended
    // Not after what was sent meanwhile: an app that appends without end would put it off without end.
    const tries = mostTries(session.at)
    if (tries > before && tries > quickTries && this.#options.isBounded !== true)
      this.pause = this.#options.random() * pauseBefore(tries - quickTries, betweenTries)
    // A server that has less than this device is asked immediately.
    if (head < session.at.state.cursor.at) this.#wantsPull = true
    return yield* this.#settle(accepted)
  }

  /** Commits that are accepted where this device has been already: another one pushed the same ids, or the server errs. */
  *#settle(ids: readonly string[]): SyncSteps<Ended> {
    const session = this.#session
    const { state, outbox } = session.at
    const known = new Set(ids)
    for (const row of outbox) {
      const { accepted: at, events } = row
      if (at === undefined || at > state.cursor.at || !known.has(wireId(row))) continue
      const reply = yield* ask({ kind: 'confirmed', after: at - 1, limit: events.length })
      if (isStorageFailure(reply)) return storageTrouble(reply)
      const isThere = events.every((event, index) => isSameRecordAt(reply.events[index], event))
      const ended = isThere ? yield* session.storeOnce((snapshot) => foundInLog(snapshot, row, at)) : undefined
      if (ended !== undefined) return ended === again ? undefined : ended
      if (!isThere) this.#wantsPull = true
    }
    return undefined
  }

  /** It did not arrive in time: half of it next time. Not of what is short, which a broken connection keeps as well. */
  #tooSlow(rows: readonly OutboxRow[]): void {
    const size = rows.reduce((sum, row) => sum + wireSize(row), 0)
    if (size > shortPush) this.#pushBytes = Math.max(shortPush, Math.min(size, this.#pushBytes) / 2)
  }

  /** The server takes less than it has to: half as much next time, and a single commit not at all. */
  *#tooLarge(
    commits: readonly OutboxRow[],
    unwanted: readonly OutboxRow[],
    { by: said, message }: { by?: AnsweredBy; message: string },
  ): SyncSteps<Ended> {
    const session = this.#session
    if (unwanted.length > 1) {
      this.#mostCancels = Math.floor(unwanted.length / 2)
      return undefined
    }
    if (commits.length > 1) {
      this.#pushBytes = Math.max(1, Math.floor(this.#pushBytes / 2))
      return undefined
    }
    const [row] = commits
    // A proxy that takes less than any server has to: nothing is refused because of it.
    if (said === undefined) return { status: 'waiting', message } satisfies Trouble
    if (row === undefined) return { status: 'stopped', reason: 'bad-request' } satisfies Trouble
    const { identity, head } = session.at.state
    const by = session.as
    const answers = [{ id: wireId(row), refused: { code: 'too-large', message: tooLarge() } }]
    return yield* session.store((snapshot) => answered(snapshot, { by, identity, head, answers }))
  }

  /** Many of them, each on those before it, which are stored together. */
  *#decide(): SyncSteps<Ended> {
    const session = this.#session
    const { state, outbox } = session.at
    const before: OutboxRow[] = []
    const decisions: DecidedCommit[] = []
    const gone = new Set<string>()
    for (const row of outbox) {
      if (decisions.length === decidedAtOnce) break
      if (row.undecided === undefined) {
        // It follows a commit that is decided here: what becomes of it is known once that is stored.
        if (isPending(row) && needsOf(row).some((id) => gone.has(id))) break
        before.push(row)
        continue
      }
      const reply = yield* ask({ kind: 'decide', row, from: { state, outbox: before }, isMore: decisions.length > 0 })
      // What is decided already does not wait for a commit that cannot be decided at the moment.
      if (isStorageFailure(reply) && decisions.length > 0) break
      if (isStorageFailure(reply)) return storageTrouble(reply)
      decisions.push([row, reply])
      for (const id of idsOf(row)) gone.add(id)
      const next = nextVersion(row, reply)
      if (next !== undefined) before.push(next)
    }
    // A decision is made on what was read: where that changed meanwhile, it is made again.
    const ended = yield* session.storeOnce((snapshot) => decided(snapshot, decisions))
    if (ended === undefined) this.#decisions += decisions.length
    return ended === again ? undefined : ended
  }
}
