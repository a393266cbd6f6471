/**
 * Which context syncs: the one that has the lock, or one that works without it because the leader does not respond. It
 * only saves work and requests: whatever two contexts do at the same time is right.
 */
import { hasCode } from '../errors.js'
import { abortWith } from '../platform/abort-with.js'
import { pauseBefore } from '../platform/backoff.js'
import { sleep, type Clock } from '../platform/clock.js'
import type { PageLifecycle } from '../platform/page-lifecycle.js'
import type { Coordinator } from '../ports.js'
import { Claim } from '../projection/claim.js'
import { followPage, HandedOver, whenHere } from '../projection/hand-over.js'
import type { SyncChannel } from './sync-channel.js'

/** Leadership is handed over to a visible page at most once in this time, ms. */
const handOverPause = 5_000
/** How long a leader may be silent while there is something to do, ms; longer after each takeover that moved nothing. */
const patience = (takeovers: number): number => pauseBefore(takeovers, { delay: 5_000, maxDelay: 300_000 })
/** Pauses after the lock was taken away, or could not be asked for. */
const lossBackoff = { delay: 100, maxDelay: 5_000, jitter: 0.5 }

export interface LeadershipPorts {
  readonly coordinator: Coordinator
  readonly channel: SyncChannel
  readonly clock: Clock
  readonly lifecycle: PageLifecycle | undefined
  /** Names the lock in messages. */
  readonly name: string
  /** Names this context to others. */
  readonly owner: string
  /** Syncs until the signal aborts. */
  lead(signal: AbortSignal): Promise<void>
  /** Another context leads from now on. */
  followed(): void
  /** What is stored moves when the leader works; `isBusy`: there is something to do. */
  look(): Promise<{ readonly turn: number; readonly isBusy: boolean } | undefined>
}

/** The name of the lock: longer than that of any projection. */
export const syncLock = 'sync'.padEnd(256)

export class SyncLeadership {
  readonly #ports: LeadershipPorts
  #lastHandOver = -Infinity
  #takeovers = 0
  #losses = 0
  #claim: Claim | undefined
  #current: AbortController | undefined

  constructor(ports: LeadershipPorts) {
    this.#ports = ports
  }

  get leads(): boolean {
    return this.#claim?.leads === true
  }

  get hasLock(): boolean {
    return this.#claim?.held === true
  }

  /** What is stored moved under this leader. */
  worked(): void {
    this.#takeovers = this.#losses = 0
  }

  /** Lets the next context in the queue lead, if there is one. */
  handOver(): void {
    this.#current?.abort(new HandedOver('hidden'))
  }

  /** Leads whenever this context is the one to do it. Resolves when the signal aborts; rejects when `lead` fails. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) await this.#attempt(signal)
  }

  async #attempt(outer: AbortSignal): Promise<void> {
    const { coordinator, name, channel, clock, lifecycle } = this.#ports
    const attempt = (this.#current = new AbortController())
    const { signal } = attempt
    const claim = (this.#claim = new Claim(coordinator, { name, key: syncLock }, attempt))
    const undo = [abortWith(attempt, outer)]
    try {
      await whenHere(lifecycle, signal)
      signal.throwIfAborted()
      undo.push(
        followPage({ lifecycle, hints: channel }, attempt, {
          leads: () => claim.leads,
          // A frozen page must hold no lock.
          leave: () => claim.release(),
          mayHandOver: () => clock.monotonic() - this.#lastHandOver >= handOverPause,
        }),
      )
      if (!(await this.#tryNow(claim, signal))) await this.#wait(claim, signal)
      signal.throwIfAborted()
      claim.leads = true
      if (!claim.held) undo.push(this.#yieldTo(attempt))
      if (lifecycle?.presence() === 'hidden') channel.post('hidden-leader')
      await this.#ports.lead(signal)
    } catch (error) {
      await this.#ended(error, signal.reason, claim, outer)
    } finally {
      for (const each of undo) each()
      claim.leads = false
      claim.release()
    }
  }

  /** Where locks cannot be asked for, this context works once it knows of no other. */
  async #tryNow(claim: Claim, signal: AbortSignal): Promise<boolean> {
    try {
      return await claim.tryNow()
    } catch {
      await this.#stuck(signal, true)
      return true
    }
  }

  /** Waits for the lock, or until its holder is silent while there is something to do. */
  async #wait(claim: Claim, signal: AbortSignal): Promise<void> {
    const { channel, lifecycle, followed } = this.#ports
    followed()
    if (lifecycle?.presence() === 'visible') channel.post('candidate')
    const watch = new AbortController()
    const undo = abortWith(watch, signal)
    const won = await Promise.race([
      claim.wait().then(() => true),
      this.#stuck(watch.signal).then(() => false),
    ]).finally(() => {
      undo()
      watch.abort()
    })
    signal.throwIfAborted()
    if (!won) this.#takeovers += 1
  }

  /**
   * Resolves once the leader neither responded nor stored anything for a while, although there was something to do.
   *
   * @param always also where there was nothing to do
   */
  async #stuck(signal: AbortSignal, always = false): Promise<void> {
    const { channel, clock, look } = this.#ports
    const span = patience(this.#takeovers)
    let responded = true
    const stopListening = channel.listenTo(({ kind }) => {
      if (kind === 'status') responded = true
    })
    try {
      let before: number | undefined
      let late = 0
      while (!signal.aborted) {
        responded = false
        channel.tell({ kind: 'who-syncs' })
        const since = clock.monotonic()
        await sleep(clock, span * (1 + 0.2 * clock.random()), signal)
        if (signal.aborted) return
        if (responded) {
          before = undefined
          continue
        }
        // This context slept, and may not judge others (H56); twice in a row: its timers are slow (H58).
        late = clock.monotonic() - since > 4 * span ? late + 1 : 0
        const now = await look()
        const isBusy = always || now?.isBusy === true
        if (now !== undefined && isBusy && late !== 1 && before === now.turn) return
        before = now?.turn
      }
    } finally {
      stopListening()
    }
  }

  /** A leader without the lock ends when it learns of one that has it, or of one of a smaller name. */
  #yieldTo(attempt: AbortController): () => void {
    return this.#ports.channel.listenTo((hint) => {
      if (hint.kind !== 'status' || hint.owner === this.#ports.owner || this.hasLock) return
      if (hint.hasLock || hint.owner < this.#ports.owner) attempt.abort(new HandedOver('hidden'))
    })
  }

  async #ended(error: unknown, reason: unknown, claim: Claim, outer: AbortSignal): Promise<void> {
    const { clock } = this.#ports
    if (outer.aborted) return
    if (reason instanceof HandedOver) {
      this.#lastHandOver = clock.monotonic()
      return
    }
    if (!hasCode(reason, 'leadership-lost') && !hasCode(error, 'coordination-failed')) throw error
    claim.leads = false
    claim.release()
    this.#losses += 1
    await sleep(clock, pauseBefore(this.#losses - 1, lossBackoff, clock.random()), outer)
  }
}
