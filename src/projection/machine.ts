/**
 * The rules of a run, as a pure machine: it yields effects and is resumed with their results. It does no I/O, reads no
 * clock and never sleeps, so every rule can be tested by stepping it. Its parts decide alone: when to commit
 * (`batching.ts`), what a failure means (`failures.ts`), which events are set aside (`set-aside.ts`), and which event
 * ends the runs that apply it (`poison-events.ts`).
 */
import { pauseBefore } from '../platform/backoff.js'
import { longPageSize, pageSize, resultOf, type RunProgress } from './batching.js'
import { RunState } from './run-state.js'
import type { Settings } from './config.js'
import { perform, report, sleep, type Effect, type EffectResults, type Page, type Steps } from './effects.js'
import { PageWork } from './page-work.js'
import type { ProjectionResult } from './projector.js'

/** The longest pause between two looks at the log, and at the stored state, ms. */
const maxIdle = 5_000

type End = ProjectionResult['reason']

/** Steps through a projection. `random` gives jitter; `run` is kept up to date at every commit. */
export function projectionMachine(
  name: string,
  settings: Settings,
  random: () => number,
  run: RunProgress,
): Generator<Effect, ProjectionResult, never> {
  return new Machine(settings, run, new RunState(name, settings, random, run)).steps()
}

class Machine {
  readonly #settings: Settings
  readonly #isBatch: boolean
  readonly #run: RunProgress
  readonly #at: RunState
  readonly #pages: PageWork
  /** Reads in a row that found no event. */
  #emptyReads = 0

  constructor(settings: Settings, run: RunProgress, state: RunState) {
    this.#settings = settings
    this.#isBatch = settings.mode === 'batch'
    this.#run = run
    this.#at = state
    this.#pages = new PageWork(state)
  }

  *steps(): Steps<ProjectionResult> {
    let end: End | undefined
    if (yield* this.#at.load()) end = 'aborted'
    else this.#run.startedAt ??= this.#at.now
    while (end === undefined) end = yield* this.#at.paused ? this.#waitWhilePaused() : this.#work()
    return resultOf(this.#run, end)
  }

  *#waitWhilePaused(): Steps<End | undefined> {
    yield* report({ type: 'paused' })
    if (this.#isBatch) return 'paused'
    do {
      if ((yield* sleep(maxIdle, 'paused')) === 'aborted') return 'aborted'
      const state = yield* perform({ kind: 'read-state' })
      this.#at.paused = state?.paused ?? true
    } while (this.#at.paused)
    return (yield* this.#at.load()) ? 'aborted' : undefined
  }

  /** Waits for appends. */
  *#idle(foundEvents: boolean): Steps<End | undefined> {
    const { interval, emptyBackoff } = this.#settings
    if (foundEvents) this.#emptyReads = 0
    const backoff = { delay: emptyBackoff, maxDelay: Math.max(maxIdle, emptyBackoff) }
    const pause = Math.max(interval, pauseBefore(this.#emptyReads, backoff))
    if (!foundEvents) this.#emptyReads += 1
    yield* report({ type: 'idle', position: this.#run.position })
    const slept = yield* sleep(foundEvents && interval > 0 ? interval : pause, 'idle')
    if (slept === 'aborted') return 'aborted'
    // A hint of a pause or a rebuild may be lost, so only the stored state tells (H66).
    if (slept !== 'control' && this.#at.now - this.#at.checkedAt < maxIdle) return undefined
    const state = yield* perform({ kind: 'read-state' })
    // What cannot be read now is read later.
    if (state === undefined) return undefined
    this.#at.checkedAt = state.now
    this.#at.paused = state.paused
    return state.moved && (yield* this.#at.load()) ? 'aborted' : undefined
  }

  *#work(): Steps<End | undefined> {
    const read = yield* this.#read()
    if (read === 'aborted') return yield* this.#at.abort()
    if ('error' in read) return (yield* this.#at.failed('reading', read.error)) ? yield* this.#at.abort() : undefined
    const page = read.value
    const { events, head } = page
    this.#at.now = page.now
    this.#at.batch.read(page.characters ?? 0, page.now, this.#at.cursor === this.#run.position)
    if (this.#at.isBeyond(head)) return (yield* this.#at.load()) ? 'aborted' : undefined
    // The end of a log may be taken back: what is not there any more is waited for by no batch.
    const goal = (this.#run.goal = Math.min(this.#run.goal ?? head, head))
    const beyond = this.#isBatch ? events.findIndex((event) => event.position > goal) : -1
    const turn = yield* this.#pages.apply(page, beyond < 0 ? events.length : beyond)
    if (turn !== 'done') return turn === 'again' ? undefined : turn
    this.#at.failures.worked('reading')
    return yield* this.#finishPage(page, goal)
  }

  *#read(): Steps<EffectResults['read-events']> {
    const upTo = (most: number) => Math.max(1, Math.min(most, this.#at.batch.room))
    return yield* perform({
      kind: 'read-events',
      after: this.#at.cursor,
      limit: upTo(pageSize),
      most: this.#at.poison.alone ? 0 : upTo(longPageSize),
    })
  }

  /** All events of a page are applied: commits if that is due, and waits where there is nothing to do. */
  *#finishPage({ events, scannedTo, head }: Page, goal: number): Steps<End | undefined> {
    const isBatch = this.#isBatch
    // What was looked at counts as done, also where nothing matched (W6, N10).
    const through = isBatch ? Math.max(this.#at.cursor, Math.min(goal, scannedTo)) : scannedTo
    const caughtUp = through >= head || (isBatch && through >= goal)
    const spent = this.#at.batch.isSpent(this.#at.now)
    const isDue = spent || this.#at.isFull()
    const isNew = through > this.#run.position
    const burst = caughtUp && !isDue && isNew ? this.#at.batch.burstPause(this.#at.now) : undefined
    let stopped = false
    if (burst !== undefined) {
      this.#at.cursor = through
      const slept = yield* sleep(burst, 'burst')
      if (slept === 'append') return undefined
      stopped = slept === 'aborted'
    }
    // While behind, one commit serves many pages: writing rows takes longer than folding events.
    if (!caughtUp && !isDue) this.#at.cursor = through
    else if (isNew || (caughtUp && this.#at.rebuilding)) {
      const turn = yield* this.#at.commit(through, caughtUp)
      if (stopped || turn === 'aborted') return 'aborted'
      if (turn === 'again') return undefined
    }
    if (isBatch && this.#run.position >= goal) return 'caught-up'
    if (spent) return 'budget'
    // While behind there is no pause, whatever the interval (W8, N12).
    return caughtUp ? yield* this.#idle(events.length > 0) : undefined
  }
}
