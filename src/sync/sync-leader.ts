/** What the context that leads does: it runs the machine, again and again, waits where that waits, and says how it is. */
import { hasCode, messageOf } from '../errors.js'
import { randomId } from '../events/identifier.js'
import { abortWith } from '../platform/abort-with.js'
import type { PageLifecycle } from '../platform/page-lifecycle.js'
import type { storageUsage } from '../platform/storage-manager.js'
import { syncMachine } from './machine/sync-machine.js'
import type { Nudges, WaitReason } from './nudges.js'
import { Puller } from './puller.js'
import type { Rounds } from './rounds.js'
import { adoptionIn } from './rules/adopted.js'
import { ServerHints } from './server-hints.js'
import type { SharedStatus } from './shared-status.js'
import { isPartial, type SyncEffect, type Woken } from './sync-effects.js'
import type { SyncLeadership } from './sync-leadership.js'
import type { SyncParts } from './sync-parts.js'
import { runSync } from './sync-run.js'
import { countsOf, type SyncReport } from './sync-status.js'
import { openTransport, type Transport } from './transport.js'

/** How long before another try after an unexpected error, ms. */
const afterFailure = 60_000
/** After this long all that is pending is sent, also commits that are behind, ms. */
const longestUntried = 60_000
/** This much has to be fetched before that counts as progress of its own, in positions. */
const longWay = 1_000

export interface ShellOptions {
  readonly wake: 'events' | 'websocket' | 'poll'
  /** Names this context to others. */
  readonly owner: string
  readonly lifecycle: PageLifecycle | undefined
  /** @default that of the origin */
  readonly usage?: typeof storageUsage
}

export interface LeaderPorts {
  readonly status: SharedStatus
  readonly nudges: Nudges
  readonly rounds: Rounds
  readonly leadership: SyncLeadership
}

export class SyncLeader {
  readonly transport: Transport
  readonly #parts: SyncParts
  readonly #options: ShellOptions
  readonly #status: SharedStatus
  readonly #nudges: Nudges
  readonly #rounds: Rounds
  readonly #leadership: SyncLeadership
  readonly #hints: ServerHints
  /** The run of the machine; another one begins when it is aborted. */
  #run: AbortController | undefined
  #turn = -1
  #isFarBehind = false
  #lastContact: number | undefined
  /** When a pause ends, by the clock. */
  #waitsUntil = 0
  /** When a round last began that tries all that is pending. */
  #tried = 0

  constructor(parts: SyncParts, options: ShellOptions, ports: LeaderPorts) {
    const { remote, clock } = parts
    const { status, nudges, rounds, leadership } = ports
    this.#parts = parts
    this.#options = options
    this.#status = status
    this.#nudges = nudges
    this.#rounds = rounds
    this.#leadership = leadership
    const transport = (this.transport = openTransport(remote, clock, () => (this.#lastContact = clock.now())))
    const bySocket = options.wake === 'websocket'
    this.#hints = new ServerHints({ transport, clock, nudges, bySocket, show: (change) => status.show(change) })
  }

  /** Ends the run that is under way, so that another one begins. */
  restart(): void {
    this.#nudges.raise('asked')
    this.#run?.abort()
  }

  /** Runs the machine, again and again, until the signal aborts. */
  async lead(signal: AbortSignal): Promise<void> {
    try {
      for (;;) {
        signal.throwIfAborted()
        const run = (this.#run = new AbortController())
        const undo = abortWith(run, signal)
        try {
          await this.#runMachine(run.signal)
        } catch (error) {
          signal.throwIfAborted()
          if (hasCode(error, 'closed', 'storage-lost')) throw error
          if (!run.signal.aborted) await this.#failed(error, signal)
        } finally {
          undo()
          run.abort()
          this.#hints.end()
        }
      }
    } finally {
      this.#run = undefined
      this.#rounds.ended()
    }
  }

  /** Runs one machine, until the signal aborts or it fails. Waits first, where syncing is paused. */
  async #runMachine(signal: AbortSignal): Promise<void> {
    const { transport } = this
    const parts = this.#parts
    const puller = new Puller(transport, this.#options.usage)
    const snapshot = await parts.storage.load()
    signal.throwIfAborted()
    if (snapshot.state.paused === true) {
      this.#status.show({ ...countsOf(snapshot), status: 'paused', reason: 'by-hand' })
      await this.#rest(Infinity, 'paused', signal)
      return
    }
    this.#tried = parts.clock.monotonic()
    const machine = syncMachine({ random: () => parts.clock.random(), newIdentity: randomId })
    const report = (news: SyncReport) => this.#report(news, signal)
    await runSync(machine, { parts, transport, puller, report, wait: (effect) => this.#wait(effect, signal) }, signal)
  }

  async #failed(error: unknown, signal: AbortSignal): Promise<void> {
    const isNewer = hasCode(error, 'unsupported-format')
    const nextTry = this.#parts.clock.now() + afterFailure
    const reason = isNewer ? 'newer-format' : 'storage-failed'
    this.#status.show({ status: 'waiting', reason, message: messageOf(error), nextTry })
    await this.#rest(afterFailure, 'busy', signal)
  }

  async #wait({ ms: pause, why, isSame }: SyncEffect & { kind: 'wait' }, signal: AbortSignal): Promise<Woken> {
    const { clock } = this.#parts
    const shown = this.#status.getSnapshot().status
    if (isSame !== true) this.#waitsUntil = clock.monotonic() + pause
    const ms = this.#waitsUntil - clock.monotonic()
    if (shown === 'offline' || shown === 'waiting') this.#status.show({ nextTry: clock.now() + ms })
    let woken = await this.#rest(ms, why, signal)
    // What is behind is tried by the clock, also where the app appends without a pause.
    const now = clock.monotonic()
    if (why === 'contended' && woken === 'time') woken = 'rested'
    if (!isPartial(woken)) this.#tried = now
    else if (this.#status.getSnapshot().behind > 0 && now - this.#tried >= longestUntried) woken = 'time'
    // The network is back.
    if (woken === 'asked' || woken === 'online') this.#hints.end(true)
    return woken
  }

  /** The end of a round, until there is a reason for another one. */
  async #rest(ms: number, why: WaitReason, signal: AbortSignal): Promise<Woken> {
    this.#rounds.waits()
    const woken = await this.#nudges.wait(ms, why, signal)
    this.#rounds.begins()
    return woken
  }

  #report({ status, reason, message, snapshot: seen }: SyncReport, signal: AbortSignal): void {
    // Newer than what the round has seen, if that hung in a request.
    const snapshot = this.#parts.current?.() ?? seen
    const { state } = snapshot
    const counts = countsOf(snapshot)
    const { cursor, head } = counts
    if (state.turn !== this.#turn) this.#leadership.worked()
    this.#turn = state.turn
    this.#nudges.cursor = cursor
    this.#isFarBehind = head > cursor && (this.#isFarBehind || head - cursor > longWay)
    const progress = adoptionIn(state) ?? (this.#isFarBehind ? { done: cursor, total: head } : undefined)
    this.#status.show({
      ...counts,
      status,
      reason,
      message,
      progress,
      lastContact: this.#lastContact,
    })
    const { wake } = this.#options
    if (status === 'paused' || status === 'stopped') this.#hints.end()
    else if (state.isFresh && state.remote !== undefined && wake !== 'poll' && !signal.aborted)
      this.#hints.follow(state.remote)
  }
}
