/** A store that is synced in this context: it leads or follows, and keeps the status. */
import { ClosedError, hasCode, messageOf } from '../errors.js'
import { randomId } from '../events/identifier.js'
import { say } from '../messages.js'
import { feature } from '../platform/features.js'
import type { PageLifecycle } from '../platform/page-lifecycle.js'
import { abortable, optional } from '../platform/promises.js'
import { storageUsage } from '../platform/storage-manager.js'
import type { StatusStore } from '../running/status.js'
import { followWake } from './follow-wake.js'
import { syncMachine } from './machine/sync-machine.js'
import { Nudges } from './nudges.js'
import { Puller } from './puller.js'
import { Rounds } from './rounds.js'
import { adoptionIn } from './rules/adopted.js'
import { refetched, withPause } from './rules/control.js'
import { openSyncChannel, type SyncChannel, type SyncHint } from './sync-channel.js'
import { isPartial, type AnsweredBy, type SyncEffect, type Woken } from './sync-effects.js'
import { SyncLeadership } from './sync-leadership.js'
import { runOnce } from './sync-once.js'
import type { SyncParts } from './sync-parts.js'
import { runSync } from './sync-run.js'
import type { SyncRule, SyncSnapshot } from './sync-state.js'
import { SyncStatusKeeper } from './sync-status-keeper.js'
import { countsOf, type SyncReport, type SyncStatus, type SyncStatusChange } from './sync-status.js'
import { openTransport, type Transport } from './transport.js'

/** A status is posted to other contexts at most once in this time, ms. */
const betweenPosts = 16
/** How long before another try after an unexpected error, ms. */
const afterFailure = 60_000
/** After rows of a newer build were found: how long before another context, which may be that build, gets the lead, ms. */
const afterNewer = 5_000
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

export class SyncShell {
  readonly #parts: SyncParts
  readonly #options: ShellOptions
  readonly #keeper = new SyncStatusKeeper()
  readonly #nudges: Nudges
  readonly #rounds = new Rounds()
  readonly #channel: SyncChannel
  readonly #transport: Transport
  readonly #leadership: SyncLeadership
  readonly #stopping = new AbortController()
  #running: Promise<void> = Promise.resolve()
  /** The run of the machine; another one begins when it is aborted. */
  #run: AbortController | undefined
  #wake: { readonly as: AnsweredBy; readonly controller: AbortController; isOpen: boolean } | undefined
  #cursor = 0
  #turn = -1
  #isFarBehind = false
  #isAdopting = false
  #lost: unknown
  #lastContact: number | undefined
  /** When a pause ends, by the clock. */
  #waitsUntil = 0
  /** When a round last began that tries all that is pending. */
  #tried = 0
  #post: (() => void) | undefined
  readonly #undo: (() => unknown)[] = []

  constructor(parts: SyncParts, options: ShellOptions) {
    const { clock, coordinator, storage, channelName, name } = parts
    this.#parts = parts
    this.#options = options
    this.#nudges = new Nudges(clock)
    this.#channel = openSyncChannel(storage, channelName)
    this.#transport = openTransport(parts.remote, clock, () => (this.#lastContact = clock.now()))
    this.#leadership = new SyncLeadership({
      coordinator,
      channel: this.#channel,
      clock,
      lifecycle: options.lifecycle,
      name,
      owner: options.owner,
      lead: (signal) => this.#lead(signal),
      followed: () => void this.#followed(),
      look: () => this.#look(),
    })
  }

  get status(): StatusStore<SyncStatus> {
    return this.#keeper.readable
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
      this.#keeper.subscribe(() => {
        const { status } = this.#keeper.getSnapshot()
        this.#parts.inContact?.(status === 'idle' || status === 'working')
      }),
      this.#channel.listenTo((hint) => this.#take(hint)),
    )
    this.#running = this.#leadership.run(this.#stopping.signal).catch((error: unknown) => {
      // Only a store that is closed or gone ends it.
      if (hasCode(error, 'storage-lost')) this.#lose(error)
      else if (!hasCode(error, 'closed')) this.#show({ status: 'stopped', message: messageOf(error) })
    })
  }

  /** The outbox changed, whatever syncing does: an app asks for what is pending before a user signs out. */
  #counted(): void {
    const lost = this.#parts.lost?.()
    if (lost !== undefined) return this.#lose(lost)
    const snapshot = this.#parts.current?.()
    if (snapshot === undefined) return
    const counts = countsOf(snapshot)
    const progress = adoptionIn(snapshot.state)
    const wasAdopting = this.#isAdopting
    this.#isAdopting = this.#nudges.isAdopting = progress !== undefined
    this.#cursor = counts.cursor
    this.#show({ ...counts, ...((wasAdopting || this.#isAdopting) && { progress }) })
  }

  stop(): Promise<void> {
    return this.#end({ reason: 'by-hand', message: undefined })
  }

  /** The database was deleted or replaced. Another store of that name is synced by those who open it: they need the lock. */
  #lose(error: unknown): void {
    this.#lost = error
    void this.#end({ reason: 'storage-lost', message: messageOf(error) })
  }

  async #end(why: SyncStatusChange): Promise<void> {
    const isFirst = !this.#stopping.signal.aborted
    this.#stopping.abort()
    // Not to others, whose store may be another one.
    if (isFirst)
      this.#keeper.set({ status: 'stopped', nextTry: undefined, progress: undefined, wake: undefined, ...why })
    await this.#running
    if (!isFirst) return
    this.#post?.()
    this.#channel.close()
    this.#rounds.ended()
    for (const undo of this.#undo.splice(0)) undo()
  }

  async now(signal?: AbortSignal): Promise<SyncStatus> {
    this.#parts.assertOpen()
    signal?.throwIfAborted()
    if (this.#stopping.signal.aborted) return this.#keeper.getSnapshot()
    this.#channel.tell({ kind: 'look' })
    if (!this.#leadership.leads) {
      // Without the lock: whatever two contexts do at the same time is right.
      const once = runOnce(this.#parts, this.#transport, this.#options, signal ?? new AbortController().signal)
      const status = await once.catch((error: unknown) => {
        if (!hasCode(error, 'storage-lost')) throw error
        this.#lose(error)
      })
      return status ?? this.#keeper.getSnapshot()
    }
    const round = this.#rounds.next()
    this.#nudges.raise('asked')
    await abortable(round, signal)
    return this.#keeper.getSnapshot()
  }

  async pause(paused: boolean): Promise<void> {
    await this.#change((snapshot) => withPause(snapshot, paused))
    this.#control(paused ? { status: 'paused', reason: 'by-hand' } : { status: 'working', reason: undefined })
  }

  async resync(): Promise<void> {
    const counts = countsOf(await this.#change((snapshot) => refetched(snapshot, randomId())))
    this.#control({ ...counts, status: 'working', reason: undefined })
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
    this.#show({ ...change, message: undefined, nextTry: undefined, progress: undefined })
    this.#restart()
  }

  #restart(): void {
    this.#nudges.raise('asked')
    this.#run?.abort()
  }

  #take(hint: SyncHint): void {
    const { leads, hasLock } = this.#leadership
    if (this.#stopping.signal.aborted) return
    if (hint.kind === 'status' && !hasLock && hint.owner !== this.#options.owner) this.#keeper.become(hint.status)
    if (!leads) return
    if (hint.kind === 'who-syncs') this.#postNow()
    if (hint.kind === 'look') this.#nudges.raise('asked')
    if (hint.kind !== 'control') return
    // After a new sign-in in another context: that one may have the token, and this one may not.
    const { status, reason } = this.#keeper.getSnapshot()
    if ((status === 'paused' || status === 'stopped') && reason !== 'by-hand') this.#leadership.handOver()
    else this.#restart()
  }

  /** Another context leads: until it says how it is, what is stored is all that is known. */
  async #followed(): Promise<void> {
    this.#rounds.ended()
    const before = this.#keeper.getSnapshot()
    const snapshot = await this.#parts.storage.load().catch(() => undefined)
    if (snapshot !== undefined && this.#keeper.getSnapshot() === before && !this.#leadership.leads)
      this.#show({ ...countsOf(snapshot), status: 'following', reason: undefined, nextTry: undefined })
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

  /** Runs the machine, again and again, until the signal aborts. */
  async #lead(signal: AbortSignal): Promise<void> {
    try {
      for (;;) {
        signal.throwIfAborted()
        const run = (this.#run = new AbortController())
        const stop = () => run.abort(signal.reason)
        signal.addEventListener('abort', stop, { once: true })
        try {
          await this.#runMachine(run.signal)
        } catch (error) {
          signal.throwIfAborted()
          if (hasCode(error, 'closed', 'storage-lost')) throw error
          if (!run.signal.aborted) await this.#failed(error, signal)
        } finally {
          signal.removeEventListener('abort', stop)
          run.abort()
          this.#endWake()
        }
      }
    } finally {
      this.#run = undefined
      this.#rounds.ended()
    }
  }

  /** Runs one machine, until the signal aborts or it fails. Waits first, where syncing is paused. */
  async #runMachine(signal: AbortSignal): Promise<void> {
    const parts = this.#parts
    const transport = this.#transport
    const puller = new Puller(transport, this.#options.usage)
    const snapshot = await parts.storage.load()
    signal.throwIfAborted()
    if (snapshot.state.paused === true) {
      this.#show({ ...countsOf(snapshot), status: 'paused', reason: 'by-hand', message: undefined, nextTry: undefined })
      this.#rounds.waits()
      await this.#nudges.wait(Infinity, 'paused', this.#at, signal)
      return this.#rounds.begins()
    }
    this.#tried = parts.clock.monotonic()
    const machine = syncMachine({ random: () => parts.clock.random(), newIdentity: randomId })
    const report = (news: SyncReport) => this.#report(news, signal)
    await runSync(machine, { parts, transport, puller, report, wait: (effect) => this.#wait(effect, signal) }, signal)
  }

  async #failed(error: unknown, signal: AbortSignal): Promise<void> {
    const isNewer = hasCode(error, 'unsupported-format')
    const pause = isNewer ? afterNewer : afterFailure
    const nextTry = this.#parts.clock.now() + pause
    const reason = isNewer ? 'newer-format' : 'storage-failed'
    this.#show({ status: 'waiting', reason, message: messageOf(error), nextTry })
    this.#rounds.waits()
    await this.#nudges.wait(pause, 'busy', this.#at, signal)
    this.#rounds.begins()
    if (isNewer) this.#leadership.handOver()
  }

  readonly #at = (): number => this.#cursor

  async #wait({ ms: pause, why, isSame }: SyncEffect & { kind: 'wait' }, signal: AbortSignal): Promise<Woken> {
    const { status } = this.#keeper.getSnapshot()
    const { clock } = this.#parts
    if (isSame !== true) this.#waitsUntil = clock.monotonic() + pause
    const ms = this.#waitsUntil - clock.monotonic()
    if (status === 'offline' || status === 'waiting') this.#show({ nextTry: clock.now() + ms })
    this.#rounds.waits()
    let woken = await this.#nudges.wait(ms, why, this.#at, signal)
    // What is behind is tried by the clock, also where the app appends without a pause.
    const now = clock.monotonic()
    if (why === 'contended' && woken === 'time') woken = 'rested'
    if (!isPartial(woken)) this.#tried = now
    else if (this.#keeper.getSnapshot().behind > 0 && now - this.#tried >= longestUntried) woken = 'time'
    // The network is back: the stream of hints is opened again with the next contact, and not after its pause.
    if ((woken === 'asked' || woken === 'online') && this.#wake?.isOpen === false) this.#endWake()
    this.#rounds.begins()
    return woken
  }

  #report({ status, reason, message, snapshot }: SyncReport, signal: AbortSignal): void {
    const { state } = snapshot
    const counts = countsOf(snapshot)
    const { cursor, head } = counts
    if (state.turn !== this.#turn) this.#leadership.worked()
    this.#turn = state.turn
    this.#cursor = cursor
    this.#isFarBehind = head > cursor && (this.#isFarBehind || head - cursor > longWay)
    const progress = adoptionIn(state) ?? (this.#isFarBehind ? { done: cursor, total: head } : undefined)
    this.#show({ ...counts, status, reason, message, progress, lastContact: this.#lastContact, nextTry: undefined })
    if (status === 'paused' || status === 'stopped') this.#endWake()
    else if (state.isFresh) this.#followWake(snapshot, signal)
  }

  #followWake({ state: { remote } }: SyncSnapshot, signal: AbortSignal): void {
    const { as } = this.#wake ?? {}
    if (remote === undefined || this.#options.wake === 'poll' || signal.aborted) return
    if (as?.log === remote.log && as.epoch === remote.epoch && as.author === remote.author) return
    this.#endWake()
    const controller = new AbortController()
    const wake = { as: remote, controller, isOpen: false }
    this.#wake = wake
    const nudges = this.#nudges
    const onOpen = () => {
      wake.isOpen = true
      nudges.raise('reachable')
    }
    const onEnd = () => {
      wake.isOpen = false
      this.#show({ wake: 'closed' })
    }
    const onHead = (reached: number) => {
      // Not before: a proxy may keep what the server sends.
      this.#show({ wake: 'open' })
      nudges.hinted(reached)
    }
    const onConflict = () => nudges.raise('conflict')
    const { clock } = this.#parts
    const bySocket = this.#options.wake === 'websocket'
    void optional(
      followWake(
        { transport: this.#transport, clock, as: remote, bySocket, onOpen, onHead, onConflict, onEnd },
        controller.signal,
      ),
    )
  }

  #endWake(): void {
    this.#wake?.controller.abort()
    this.#wake = undefined
    this.#show({ wake: undefined })
  }

  #show(change: SyncStatusChange): void {
    // How it ended stays.
    if (this.#stopping.signal.aborted) return
    if (!this.#keeper.set(change) || !this.#leadership.leads || this.#post !== undefined) return
    // The first one is posted immediately, and what follows soon is posted together.
    this.#postNow()
    const posted = this.#keeper.getSnapshot()
    const cancel = this.#parts.clock.schedule(betweenPosts, () => {
      this.#post = undefined
      if (this.#leadership.leads && this.#keeper.getSnapshot() !== posted) this.#postNow()
    })
    this.#post = () => {
      cancel()
      this.#post = undefined
    }
  }

  #postNow(): void {
    const { hasLock } = this.#leadership
    this.#channel.tell({ kind: 'status', owner: this.#options.owner, hasLock, status: this.#keeper.getSnapshot() })
  }
}
