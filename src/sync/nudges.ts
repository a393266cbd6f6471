/** Reasons to look again: what comes while the machine works is kept until it waits. */
import type { Clock } from '../platform/clock.js'
import { realTimeout } from '../platform/tasks.js'
import type { SyncEffect, Woken } from './sync-effects.js'

export type WaitReason = Extract<SyncEffect, { kind: 'wait' }>['why']

/**
 * `'reachable'`: a server responded to something else, so an offline wait may end. `'conflict'`: what it responded
 * contradicts what this device knows of it.
 */
export type Nudge = Exclude<Woken, 'time' | 'rested'> | 'reachable' | 'conflict'

const all: readonly Nudge[] = ['asked', 'online', 'conflict', 'server', 'own-append']

/** Which nudges end which wait. Of several, the first in the list is the reason: its round does the work of all. */
const ends: Readonly<Record<WaitReason, readonly Nudge[]>> = {
  idle: all,
  contended: all,
  offline: ['asked', 'online', 'reachable', 'conflict'],
  busy: ['asked', 'online'],
  paused: ['asked'],
}

/**
 * The longest pause before a hint of the server is followed, ms; the pause is random. Many devices get a hint at the same
 * time, and what comes during the pause is pulled with it. A hint that comes later than this after the one before is
 * followed immediately.
 */
const spread = 100

/**
 * While this device adopts, its server hints at each page before that is stored here. Such a hint is followed only if
 * nothing was stored for this long, ms: each page would be fetched once more.
 */
const adoptedWithin = 1_000

export class Nudges {
  readonly #clock: Clock
  readonly #raised = new Set<Nudge>()
  /** The largest head that the server hinted at. */
  #head = 0
  /** The head of the last hint. */
  #last = 0
  #check: (() => void) | undefined
  /** Where the log is, here: hints about positions up to there say nothing new. */
  cursor = 0
  /** Whether a local log is adopted, by this context or another. */
  isAdopting = false
  /** When a hint last ended a wait. */
  #followed = -Infinity

  constructor(clock: Clock) {
    this.#clock = clock
  }

  raise(nudge: Nudge): void {
    this.#raised.add(nudge)
    this.#check?.()
  }

  /** The server hints that its log has come to a position. */
  hinted(head: number): void {
    // A log that became shorter is another one: it went back to a backup.
    const isShorter = head < this.#last
    this.#last = head
    this.#head = isShorter ? head : Math.max(this.#head, head)
    this.raise(isShorter ? 'conflict' : 'server')
  }

  wait(ms: number, why: WaitReason, signal: AbortSignal): Promise<Woken> {
    return new Promise((resolve, reject) => {
      const until = this.#clock.monotonic() + ms
      let cancel = () => {}
      let due = Infinity
      let from = this.cursor
      const end = (settle: () => void) => {
        cancel()
        this.#check = undefined
        signal.removeEventListener('abort', abort)
        settle()
      }
      const abort = () => end(() => reject(signal.reason))
      const schedule = (pause: number, isTime = false) => {
        const at = this.#clock.monotonic() + pause
        if (at >= due) return
        due = at
        cancel()
        cancel = this.#later(pause, () => {
          if (!isTime && !this.#isDue(why, from)) return begin()
          end(() => {
            const woken = this.#taken(why)
            resolve(isTime ? 'time' : woken)
          })
        })
      }
      const begin = () => {
        from = this.cursor
        due = Infinity
        // A timer of this context: an endless wait needs none.
        if (ms < Infinity) schedule(until - this.#clock.monotonic(), true)
        this.#check?.()
      }
      this.#check = () => {
        for (const nudge of this.#found(why)) schedule(this.#pauseAfter(nudge))
      }
      signal.addEventListener('abort', abort, { once: true })
      if (signal.aborted) return abort()
      begin()
    })
  }

  /** Takes what was raised, together. */
  #taken(why: WaitReason): Woken {
    const [nudge = 'online'] = ends[why].filter((each) => this.#raised.delete(each))
    if (nudge === 'server') this.#followed = this.#clock.monotonic()
    return nudge === 'reachable' || nudge === 'conflict' ? 'online' : nudge
  }

  /** What was raised that ends such a wait, and says something new. */
  #found(why: WaitReason): readonly Nudge[] {
    if (this.#head <= this.cursor) this.#raised.delete('server')
    return ends[why].filter((each) => this.#raised.has(each))
  }

  /** Whether there is still a reason: not if the log came here another way, or is about to, as this device adopts. */
  #isDue(why: WaitReason, from: number): boolean {
    const isAdopted = this.isAdopting && this.cursor > from
    return this.#found(why).some((nudge) => nudge !== 'server' || !isAdopted)
  }

  #pauseAfter(nudge: Nudge): number {
    if (nudge === 'server' && this.isAdopting) return adoptedWithin
    const isSoon = nudge === 'server' && this.#clock.monotonic() - this.#followed < spread
    return isSoon ? spread * this.#clock.random() : 0
  }

  /** Without a pause in a later task all the same, so that a burst is one round, also where a test stops the clock. */
  #later(pause: number, callback: () => void): () => void {
    if (pause > 0) return this.#clock.schedule(pause, callback)
    realTimeout(() => callback())
    return () => {
      callback = () => {}
    }
  }
}
