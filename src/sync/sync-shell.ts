/** Syncing of a store in this context, from its begin to its end: as leader, or as follower. */
import { ClosedError, hasCode, messageOf } from '../errors.js'
import { randomId } from '../events/identifier.js'
import { say } from '../messages.js'
import { feature } from '../platform/features.js'
import { abortable } from '../platform/promises.js'
import { equal } from '../read-model/equal.js'
import type { StatusStore } from '../running/status.js'
import { Nudges } from './nudges.js'
import { Rounds } from './rounds.js'
import { adoptionIn } from './rules/adopted.js'
import { refetched, withPause } from './rules/control.js'
import { SharedStatus } from './shared-status.js'
import { openSyncChannel, type SyncChannel, type SyncHint } from './sync-channel.js'
import { SyncLeader, type ShellOptions } from './sync-leader.js'
import { SyncLeadership } from './sync-leadership.js'
import { runOnce } from './sync-once.js'
import type { SyncParts } from './sync-parts.js'
import type { SyncRule, SyncSnapshot } from './sync-state.js'
import { countsOf, type SyncStatus, type SyncStatusChange } from './sync-status.js'

export class SyncShell {
  readonly #parts: SyncParts
  readonly #options: ShellOptions
  readonly #status: SharedStatus
  readonly #nudges: Nudges
  readonly #rounds = new Rounds()
  readonly #channel: SyncChannel
  readonly #leadership: SyncLeadership
  readonly #leader: SyncLeader
  readonly #stopping = new AbortController()
  #running: Promise<void> = Promise.resolve()
  #lost: unknown
  readonly #undo: (() => unknown)[] = []

  constructor(parts: SyncParts, options: ShellOptions) {
    const { clock, coordinator, storage, channelName, name } = parts
    const { lifecycle, owner } = options
    this.#parts = parts
    this.#options = options
    const nudges = (this.#nudges = new Nudges(clock))
    const channel = (this.#channel = openSyncChannel(storage, channelName))
    const leadership = (this.#leadership = new SyncLeadership({
      coordinator,
      channel,
      clock,
      lifecycle,
      name,
      owner,
      lead: (signal) => this.#leader.lead(signal),
      followed: () => void this.#followed(),
      look: () => this.#look(),
    }))
    const status = (this.#status = new SharedStatus(parts, leadership, (status) =>
      channel.tell({ kind: 'status', owner, hasLock: leadership.hasLock, status }),
    ))
    this.#leader = new SyncLeader(parts, options, { status, nudges, rounds: this.#rounds, leadership })
  }

  get status(): StatusStore<SyncStatus> {
    return this.#status.readable
  }

  start(signal: AbortSignal | undefined): void {
    const { closed, onAppend, onChange } = this.#parts
    const stop = () => void this.stop()
    for (const each of [signal, closed]) {
      if (each?.aborted === true) return stop()
      each?.addEventListener('abort', stop, { once: true })
      this.#undo.push(() => each?.removeEventListener('abort', stop))
    }
    const online = () => this.#nudges.raise('online')
    if (feature((here) => here.addEventListener) !== undefined) {
      addEventListener('online', online)
      this.#undo.push(() => removeEventListener('online', online))
    }
    const unsubscribe = this.#options.lifecycle?.subscribe((presence) => {
      if (presence === 'visible') online()
    })
    this.#undo.push(
      () => unsubscribe?.(),
      onAppend(() => this.#nudges.raise('own-append')),
      onChange(() => this.#counted()),
      this.#status.subscribe(() => {
        const { status } = this.#status.getSnapshot()
        this.#parts.inContact?.(status === 'idle' || status === 'working')
      }),
      this.#channel.listenTo((hint) => this.#take(hint)),
    )
    this.#counted()
    this.#running = this.#leadership.run(this.#stopping.signal).catch((error: unknown) => {
      // Only a store that is closed or gone ends it.
      if (hasCode(error, 'storage-lost')) this.#lose(error)
      else if (!hasCode(error, 'closed')) this.#status.show({ status: 'stopped', message: messageOf(error) })
    })
  }

  /** The outbox changed, whatever syncing does: an app asks for what is pending before a user signs out. */
  #counted(): void {
    const lost = this.#parts.lost?.()
    if (lost !== undefined) return this.#lose(lost)
    const snapshot = this.#parts.current?.()
    if (snapshot === undefined) return
    const progress = adoptionIn(snapshot.state)
    const nudges = this.#nudges
    const wasAdopting = nudges.isAdopting
    nudges.isAdopting = progress !== undefined
    nudges.cursor = snapshot.state.cursor.at
    this.#status.show(wasAdopting || nudges.isAdopting ? { progress } : {})
  }

  stop(): Promise<void> {
    return this.#end({ reason: 'by-hand' })
  }

  /** The database was deleted or replaced. Another store of that name is synced by those who open it: they need the lock. */
  #lose(error: unknown): void {
    this.#lost = error
    void this.#end({ reason: 'storage-lost', message: messageOf(error) })
  }

  async #end(why: SyncStatusChange): Promise<void> {
    const isFirst = !this.#stopping.signal.aborted
    this.#stopping.abort()
    if (isFirst) this.#status.end({ status: 'stopped', progress: undefined, wake: undefined, ...why })
    await this.#running
    if (!isFirst) return
    this.#channel.close()
    this.#rounds.ended()
    for (const undo of this.#undo.splice(0)) undo()
  }

  async now(signal?: AbortSignal): Promise<SyncStatus> {
    this.#parts.assertOpen()
    signal?.throwIfAborted()
    if (this.#stopping.signal.aborted) return this.#status.getSnapshot()
    this.#channel.tell({ kind: 'look' })
    if (!this.#leadership.leads) {
      // Without the lock: whatever two contexts do at the same time is right.
      const once = runOnce(this.#parts, this.#leader.transport, this.#options, signal ?? new AbortController().signal)
      const status = await once.catch((error: unknown) => {
        if (!hasCode(error, 'storage-lost')) throw error
        this.#lose(error)
      })
      return status ?? this.#status.getSnapshot()
    }
    const round = this.#rounds.next()
    this.#nudges.raise('asked')
    await abortable(round, signal)
    // With what other contexts appended meanwhile, also where their messages are late.
    await this.#parts.storage.load().catch(() => {})
    return this.#status.getSnapshot()
  }

  async pause(paused: boolean): Promise<void> {
    await this.#change((snapshot) => withPause(snapshot, paused))
    this.#control(paused ? { status: 'paused', reason: 'by-hand' } : { status: 'working' })
  }

  async resync(): Promise<void> {
    const counts = countsOf(await this.#change((snapshot) => refetched(snapshot, randomId())))
    this.#control({ ...counts, status: 'working' })
  }

  async #change(rule: SyncRule): Promise<SyncSnapshot> {
    const { storage, assertOpen, name } = this.#parts
    assertOpen()
    if (this.#stopping.signal.aborted) throw this.#lost ?? new ClosedError(say`Syncing of '${name}'`)
    for (;;) {
      const changed = await storage.change(await storage.load(), rule)
      if ('snapshot' in changed) return changed.snapshot
    }
  }

  /** What is stored was changed by a call: whatever runs, in whatever context, begins again with it. */
  #control(change: SyncStatusChange): void {
    this.#channel.tell({ kind: 'control' })
    this.#status.show({ ...change, progress: undefined })
    this.#leader.restart()
  }

  #take(hint: SyncHint): void {
    const { leads, hasLock } = this.#leadership
    if (this.#stopping.signal.aborted) return
    if (hint.kind === 'status' && !hasLock && hint.owner !== this.#options.owner) this.#follow(hint.status)
    if (!leads) return
    const { status, reason } = this.#status.getSnapshot()
    if (hint.kind === 'who-syncs') {
      // Who asks waits for the lead, and may be the newer build.
      if (reason === 'newer-format') this.#leadership.handOver()
      else this.#status.post()
    }
    if (hint.kind === 'look') this.#nudges.raise('asked')
    if (hint.kind !== 'control') return
    // After a new sign-in in another context: that one may have the token, and this one may not.
    if ((status === 'paused' || status === 'stopped') && reason !== 'by-hand') this.#leadership.handOver()
    else this.#leader.restart()
  }

  /** Where the leader counts otherwise, one of both does not know all that is stored. */
  #follow(status: SyncStatus): void {
    this.#status.become(status)
    if (!equal(status, this.#status.getSnapshot())) this.#parts.storage.load().catch(() => {})
  }

  /** Another context leads: until it says how it is, what is stored is all that is known. */
  async #followed(): Promise<void> {
    this.#rounds.ended()
    const before = this.#status.getSnapshot()
    const snapshot = await this.#parts.storage.load().catch(() => undefined)
    if (snapshot !== undefined && this.#status.getSnapshot() === before && !this.#leadership.leads)
      this.#status.show({ ...countsOf(snapshot), status: 'following' })
  }

  async #look(): Promise<{ turn: number; isBusy: boolean } | undefined> {
    const snapshot = await this.#parts.storage.load().catch(() => undefined)
    if (snapshot === undefined) return undefined
    const { state, outbox } = snapshot
    const { cursor, head } = countsOf(snapshot)
    const isOpen = outbox.some(({ refused }) => refused === undefined)
    const isBusy = state.paused !== true && (isOpen || head > cursor || state.remote === undefined)
    return { turn: state.turn, isBusy }
  }
}
