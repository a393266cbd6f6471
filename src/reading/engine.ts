/**
 * What the live queries of one read model share in a context: it reads for them, and notices what commits change, by
 * whichever context they are made.
 */
import { hasCode } from '../errors.js'
import { hintPause } from '../log/head-watch.js'
import type { Clock } from '../platform/clock.js'
import { getOrMake } from '../platform/get-or-make.js'
import { singleFlight } from '../platform/single-flight.js'
import { nextTask } from '../platform/tasks.js'
import type { Changes } from '../read-model/changes.js'
import { follower } from '../read-model/follower.js'
import { seenIn, type Seen } from '../read-model/stamps.js'
import type { StateRow } from '../read-model/state.js'
import type { Answers, TableQuery } from '../read-model/storage.js'
import type { ModelLookout } from '../running/shared-storage.js'
import { inRounds, together } from './turns.js'

/** Something changed in the rows that readers see. */
export interface News {
  /** What readers see since; not known if the rows are gone. */
  readonly to?: Seen
  readonly changes: Changes
}

/** A query that is followed. */
export interface Followed {
  notice(news: News): void
  /** Resolves once it shows what it noticed; nothing if it does already, or if that does not touch what it reads. */
  published(): Promise<unknown> | undefined
}

/** Gets each state that is looked at, in the development build. */
type Saw = ((state: StateRow) => void) | undefined

export class QueryEngine {
  /** For the runs of queries: those that wait equally long run together. */
  readonly clock: Clock
  readonly #key: string
  readonly #saw: Saw
  readonly #lookout: ModelLookout
  readonly #read: (asked: readonly TableQuery[]) => Promise<Answers>
  readonly #schedule: Clock['schedule']
  readonly #followed = new Set<Followed>()
  #follower = follower()
  /** The position that readers see, as far as it is known. */
  #position = 0
  #isLost = false
  /** The stamp of the commit that queries are being notified of. */
  #committed: string | undefined
  #stop: (() => void) | undefined
  /** A hint says that there is something, and no look that began after it found that. */
  #isHinted = false
  #isChecking = false
  #cancelPause: (() => void) | undefined

  constructor(key: string, lookout: ModelLookout, clock: Clock, saw: Saw) {
    this.#key = key
    this.#lookout = lookout
    this.#saw = saw
    this.clock = inRounds(clock)
    this.#schedule = (ms, callback) => clock.schedule(ms, callback)
    this.#read = together(lookout.queries)
  }

  /** As {@link ask}, for a live query: what runs because of a commit of this context need not read its rows again. */
  async askLive(asked: readonly TableQuery[]): Promise<Answers> {
    const stamp = this.#committed
    return (stamp === undefined ? undefined : this.#lookout.recent.answer(asked, stamp)) ?? this.ask(asked)
  }

  /** Reads what is asked in one turn in one transaction. */
  async ask(asked: readonly TableQuery[]): Promise<Answers> {
    // The first read tells what is known from there on.
    const found = this.#follower.seen === undefined && this.#stop !== undefined ? this.#follower.look() : undefined
    const answers = await this.#read(asked)
    if (found !== undefined && this.#follower.seen === undefined) this.#found(found, answers.state)
    return answers
  }

  /** The revision that readers see, as far as this context knows: queries may not be notified of it yet. */
  newest(): number {
    return this.#lookout.newest()
  }

  /** Tells a query what changes. Returns how to stop that. */
  follow(query: Followed): () => void {
    this.#followed.add(query)
    this.#stop ??= this.#start()
    return () => {
      if (!this.#followed.delete(query) || this.#followed.size > 0) return
      this.#stop?.()
      this.#stop = undefined
      this.#follower = follower()
    }
  }

  /**
   * Resolves once queries that have subscribers show every commit up to this position that touches them. Rejects if it
   * cannot be read what is stored.
   */
  async published(position: number): Promise<void> {
    if (this.#followed.size === 0) return
    if (this.#position < position) await this.#look()
    await Promise.allSettled([...this.#followed].flatMap((query) => query.published() ?? []))
  }

  readonly #look = singleFlight(() => this.#see(this.#lookout.state()))

  #start(): () => void {
    this.#isLost = false
    const stopListening = this.#lookout.listen((hint) => {
      if (hint.kind !== 'committed' || hint.projection !== this.#key) return
      const changes = this.#follower.take(hint)
      if (changes === 'unknown') return void this.#hinted()
      if (changes === undefined) return
      this.#position = hint.position
      this.#committed = hint.to
      this.#tell({ to: { stamp: hint.to, revision: hint.revision }, changes })
      // What begins later reads what is stored then.
      void nextTask().then(() => {
        if (this.#committed !== hint.to) return
        this.#committed = undefined
        this.#lookout.recent.forget()
      })
    })
    this.#lookout.recent.readers += 1
    const stopLooking = this.#lookout.watch((state) => void this.#see(state).catch(() => {}))
    return () => {
      this.#lookout.recent.readers -= 1
      stopListening()
      stopLooking()
      this.#cancelPause?.()
      this.#cancelPause = undefined
      this.#isHinted = false
    }
  }

  /**
   * Looks into a hint that says nothing certain. Any script of the origin may send some: a flood of them makes one look
   * at a time, and one a second once it was seen that they are not true.
   */
  async #hinted(): Promise<void> {
    this.#isHinted = true
    if (this.#isChecking || this.#cancelPause !== undefined) return
    this.#isChecking = true
    while (this.#isHinted && this.#cancelPause === undefined) {
      this.#isHinted = false
      // What cannot be read is looked for again by the clock.
      const isTrue = await this.#look().catch(() => false)
      if (isTrue || this.#stop === undefined) continue
      this.#cancelPause = this.#schedule(hintPause, () => {
        this.#cancelPause = undefined
        if (this.#isHinted) void this.#hinted()
      })
    }
    this.#isChecking = false
  }

  /** Takes in a look that has just begun. Resolves with whether it found something new. */
  async #see(state: Promise<StateRow>): Promise<boolean> {
    const found = this.#follower.look()
    try {
      return this.#found(found, await state)
    } catch (error) {
      // Queries that show rows of a deleted store run again, so that they say so.
      if (!this.#isLost && hasCode(error, 'storage-lost')) {
        this.#isLost = true
        this.#tell({ changes: 'unknown' })
      }
      throw error
    }
  }

  #found(found: (seen: Seen) => 'unknown' | undefined, state: StateRow): boolean {
    if (__DEV__) this.#saw?.(state)
    this.#position = state.position
    const to = seenIn(state)
    const changes = found(to)
    if (changes === undefined) return false
    this.#tell({ to, changes })
    return true
  }

  #tell(news: News): void {
    for (const query of [...this.#followed]) query.notice(news)
  }
}

const engines = new WeakMap<ModelLookout, QueryEngine>()

/** The engine of a read model: the same for all of its views. */
export const engineOf = (key: string, lookout: ModelLookout, clock: Clock, saw: Saw): QueryEngine =>
  getOrMake(engines, lookout, () => new QueryEngine(key, lookout, clock, saw))
