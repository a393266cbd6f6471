/**
 * Applies the events of one page, and does what is to be done with those that fail or are set aside. Pure: effects are
 * yielded.
 */
import { PoisonEventError, StreamBlockedError } from '../errors.js'
import type { RecordedEvent } from '../events/event.js'
import type { Counts } from './batching.js'
import type { RunState, Turn } from './run-state.js'
import { perform, report, sleep, type EffectResults, type Page, type Steps } from './effects.js'
import { stoppedBy, verdictOn } from './failures.js'
import { reportedEvent } from './report.js'

export class PageWork {
  readonly #at: RunState

  constructor(state: RunState) {
    this.#at = state
  }

  /** Applies the first `count` events of a page. The cursor is at the last one applied when it ends. */
  *apply({ events, unreadable = [] }: Page, count: number): Steps<Turn> {
    const broken = new Map(unreadable.map((error) => [error.position, error]))
    for (let at = 0; at < count;) {
      const event = events[at] as RecordedEvent
      const aside = this.#at.aside.reason(event)
      if (aside !== undefined) {
        yield* this.#setAside(event, aside)
        at += 1
      } else {
        const pause = this.#at.retries.left(event.position, this.#at.now)
        if (pause > 0) {
          const turn = yield* this.#commitBefore()
          return turn === 'done' ? yield* this.#wait(pause) : turn
        }
        let failure: { readonly error: unknown } | undefined = this.#knownFailure(event, broken)
        if (failure === undefined) {
          const applied = yield* this.#applySome(events, at, count, broken)
          if (typeof applied === 'string') return applied
          at = applied.next
          failure = applied.failure
        }
        if (failure !== undefined) {
          const turn = yield* this.#settle(events[at] as RecordedEvent, failure.error)
          if (turn !== 'done') return turn
          at += 1
        }
      }
      if (at >= count) break
      const spent = this.#at.batch.isSpent(this.#at.now)
      if (!spent && !this.#at.isFull()) continue
      const turn = yield* this.#at.commit(this.#at.cursor, false)
      if (turn !== 'done') return turn
      if (spent) return 'budget'
      if (this.#at.paused) return 'again'
    }
    return 'done'
  }

  *#setAside(event: RecordedEvent, why: 'skipped' | 'blocked'): Steps<void> {
    if (why === 'skipped') yield* this.#skip(event, undefined, 0)
    else yield* this.#park(event, new StreamBlockedError(event.stream), 0, true)
  }

  /** Why an event fails without being applied. */
  #knownFailure({ position }: RecordedEvent, broken: ReadonlyMap<number, unknown>): { error: unknown } | undefined {
    if (broken.has(position)) return { error: broken.get(position) }
    const runs = this.#at.poison.runsEndedBy(position)
    return runs === undefined ? undefined : { error: new PoisonEventError(position, runs) }
  }

  /** Applies events from `at` on, as many as one step takes. */
  *#applySome(
    events: readonly RecordedEvent[],
    at: number,
    count: number,
    broken: ReadonlyMap<number, unknown>,
  ): Steps<Turn | EffectResults['apply']> {
    const { position } = events[at] as RecordedEvent
    if (this.#at.poison.needsNote(position)) {
      const noted = yield* perform({ kind: 'try', position })
      if ('error' in noted) return yield* this.#at.lost('storing', noted.error, this.#at.cursor)
      this.#at.poison.noted(position)
    }
    const room = Math.max(1, Math.min(this.#at.mostPerCommit - this.#at.batch.size, this.#at.batch.room))
    const to = Math.min(this.#at.aside.runFrom(events, at, count, broken), at + room)
    const applied = yield* perform({ kind: 'apply', from: at, to })
    const { next, failure, now, aborted, rows } = applied
    if (rows !== undefined) this.#at.batch.pends(rows)
    if (next > at) {
      this.#at.batch.count('applied', next - at)
      this.#at.cursor = (events[next - 1] as RecordedEvent).position
    }
    this.#at.now = now
    if (failure?.storage === true)
      return yield* this.#at.lost('reading', failure.error, this.#at.cursor, (events[next] as RecordedEvent).position)
    return aborted ? yield* this.#at.abort() : applied
  }

  /** What to do with an event that failed: what its policy says, after everything before it is stored. */
  *#settle(event: RecordedEvent, error: unknown): Steps<Turn> {
    const turn = yield* this.#commitBefore()
    if (turn !== 'done') return turn
    const { position } = event
    const retryCount = this.#at.retries.of(position)
    const attempts = retryCount + 1
    yield* report({ type: 'event-failed', error, retryCount, ...reportedEvent(event) })
    if (this.#at.aside.leavesOut(position, error)) return yield* this.#skip(event, error, attempts)
    const decision = yield* perform({ kind: 'decide', event, error, retryCount })
    const verdict = verdictOn(decision.strategy, this.#at.retries, position, error, () => this.#at.moment())
    if (verdict === 'fatal') throw stoppedBy(this.#at.name, event, attempts, decision.error ?? error)
    if (verdict === 'skip') return yield* this.#skip(event, error, attempts)
    if (typeof verdict === 'string') return yield* this.#park(event, error, attempts, verdict === 'park-stream')
    return yield* this.#retryAfter(verdict.retryAfter, event, error, attempts)
  }

  *#retryAfter(delay: number, event: RecordedEvent, error: unknown, retryCount: number): Steps<Turn> {
    yield* report({ type: 'retrying', error, retryCount, delay, ...reportedEvent(event) })
    yield* this.#at.takeNoteBack()
    return yield* this.#wait(delay)
  }

  /** Waits before another try, or leaves that to the next batch if this one's budget is over by then. */
  *#wait(pause: number): Steps<Turn> {
    if (this.#at.batch.isSpentIn(pause, this.#at.now)) return 'retrying'
    const slept = yield* sleep(pause, 'retrying')
    if (slept === 'aborted') return 'aborted'
    this.#at.retries.waited()
    if (slept === 'control' && (yield* this.#at.load())) return 'aborted'
    // The event is read again: its handler may have changed the object that it was given (N17).
    return 'again'
  }

  /** Stores what comes before an event. */
  *#commitBefore(): Steps<Turn> {
    const { cursor, run } = this.#at
    return cursor > run.position ? yield* this.#at.commit(cursor, false) : 'done'
  }

  *#skip(event: RecordedEvent, error: unknown, attempts: number): Steps<'done'> {
    return yield* this.#passed('skipped', event, error, attempts)
  }

  /** Puts an event aside, and with `blocksStream` those of its stream that follow. */
  *#park(event: RecordedEvent, error: unknown, attempts: number, blocksStream: boolean): Steps<'done'> {
    yield { kind: 'park', event, error, attempts, blocksStream }
    if (blocksStream) this.#at.aside.block(event.stream)
    return yield* this.#passed('parked', event, error, attempts)
  }

  *#passed(
    type: Exclude<keyof Counts, 'applied'>,
    event: RecordedEvent,
    error: unknown,
    attempts: number,
  ): Steps<'done'> {
    this.#at.batch.count(type)
    this.#at.cursor = event.position
    yield* report({ type, error, attempts, ...reportedEvent(event) })
    return 'done'
  }
}
