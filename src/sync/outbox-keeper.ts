/**
 * A copy of the outbox in memory, as new as it has to be. Everything that this context stores comes through here, so that
 * the copy need not be read again.
 */
import { hasCode, StorageDamagedError } from '../errors.js'
import type { Durability } from '../log/event-store.js'
import type { PreparedAppend } from '../log/prepared-append.js'
import { say } from '../messages.js'
import type { Clock } from '../platform/clock.js'
import { RecentMap } from '../platform/recent-map.js'
import { isNewer, largestNOf, ownUpTo, stampOf, withOwn } from './change-rules.js'
import type { ConfirmedFacts, DeviceStorage, OutboxStamp } from './device-storage.js'
import type { OutboxCopy, OutboxSource } from './outbox-copy.js'
import { OutboxIndex } from './outbox-index.js'
import { OutboxNews } from './outbox-news.js'
import type {
  EndedCommit,
  OutboxRow,
  OwnRow,
  PulledEvents,
  SyncChange,
  SyncRule,
  SyncSnapshot,
  SyncState,
} from './sync-state.js'
import type { Changed, ConfirmedEvents, SyncStorage } from './sync-storage.js'

/** How many commits are remembered that left the outbox. */
const maxEnded = 10_000

export interface KeeperOptions {
  readonly storage: DeviceStorage
  readonly clock: Clock
  /** For hints to other contexts; none for a store in memory. */
  readonly channelName?: string | undefined
  /** A change of this context added these to the log. */
  pulled(state: SyncState, events: PulledEvents): void
  /** The log was taken back: what is remembered of it is not true any more. */
  takenBack(state: SyncState): void
}

export class OutboxKeeper implements OutboxSource, SyncStorage {
  readonly #options: KeeperOptions
  readonly #storage: DeviceStorage
  #copy: OutboxCopy | undefined
  #index: OutboxIndex | undefined
  #sends = false
  /** What listeners know. */
  #shown: OutboxStamp | undefined
  /** With the identity of the log that their positions are of. */
  readonly #ended = new RecentMap<string, EndedCommit & { readonly identity: string }>(maxEnded)
  /** Of the log, as far as this context knows: also while there is no copy. */
  #identity: string | undefined
  readonly #news: OutboxNews
  /** A look at the storage that has not begun. */
  #waiting: Promise<void> | undefined
  #looking: Promise<void> = Promise.resolve()
  #lost: unknown

  constructor(options: KeeperOptions) {
    this.#options = options
    this.#storage = options.storage
    this.#news = new OutboxNews(options.clock, options.channelName, this)
  }

  /** Whether this device is in contact with the server, so that what is appended is sent immediately. */
  readonly inContact = (is: boolean): void => {
    this.#sends = is
  }

  /** The copy that is there, however old. */
  get current(): OutboxCopy | undefined {
    return this.#copy
  }

  /** Why there is no database any more, once a look has found that out. */
  get lost(): unknown {
    return this.#lost
  }

  indexOf(copy: OutboxCopy): OutboxIndex {
    if (copy !== this.#copy) return new OutboxIndex(copy.outbox)
    return (this.#index ??= new OutboxIndex(copy.outbox))
  }

  /** What became of a commit that left the outbox, if it did in this context and the log was not taken back since. */
  ended(name: string): EndedCommit | undefined {
    const ended = this.#ended.get(name)
    return ended?.position === undefined || ended.identity === this.#identity ? ended : undefined
  }

  /** A copy that is at least as new as this call. */
  async fresh(): Promise<OutboxCopy> {
    await this.#look()
    return this.#copy as OutboxCopy
  }

  async copy({ cursor, after, isKnown }: Parameters<OutboxSource['copy']>[0]): Promise<OutboxCopy> {
    const copy = (isKnown === true && this.#copy) || (await this.fresh())
    // Rows that are newer than the copy come from a change that it does not have.
    if (copy.ownFrom <= after && copy.state.cursor.at >= cursor) return copy
    await this.#load(Math.min(after, copy.ownFrom))
    return this.#copy as OutboxCopy
  }

  subscribe(listener: () => void | Promise<void>): () => void {
    return this.#news.listen(listener)
  }

  /** Calls back when a commit was appended, here or elsewhere. */
  onAppend(listener: () => void): () => void {
    return this.#news.listen(listener, true)
  }

  /** Looks for those who wait, if there are some. */
  look(): void {
    if (!this.#news.isWanted) return
    // Those who wait for a commit find out by themselves that there is no database any more. Syncing asks.
    this.fresh().catch((error: unknown) => {
      if (!hasCode(error, 'storage-lost')) return
      this.#lost = error
      void this.#tell(false)
    })
  }

  async load(): Promise<SyncSnapshot> {
    const { state, outbox } = await this.fresh()
    return { state, outbox }
  }

  loadOwn(after: number): Promise<SyncSnapshot & { readonly own: readonly OwnRow[] }> {
    return this.#storage.loadOwn(after)
  }

  confirmed(after: number, limit: number): Promise<ConfirmedEvents> {
    return this.#storage.confirmed(after, limit)
  }

  facts(prepared: PreparedAppend): Promise<ConfirmedFacts> {
    return this.#storage.facts(prepared)
  }

  async append(given: OutboxRow, from: SyncState, durability: Durability): Promise<'stored' | 'moved'> {
    const row: OutboxRow = this.#sends ? { ...given, leaves: true } : given
    const outcome = await this.#storage.append(row, from, durability)
    if (outcome === 'moved') return outcome
    const copy = this.#copy
    if (copy?.state.turn === from.turn && row.n === largestNOf(copy) + 1) {
      this.#index?.add(row)
      this.#copy = { ...copy, outbox: [...copy.outbox, row] }
      // Otherwise the copy was read since then, and has it.
    }
    this.#news.post({ turn: from.turn, largestN: row.n })
    await this.#tell(true)
    return outcome
  }

  /** @param sends the app did it, so that there is something to send */
  async change(from: SyncSnapshot, rule: SyncRule, sends = false): Promise<Changed> {
    const changed = await this.#storage.change(from, rule)
    if (changed.kind === 'stored') {
      const { snapshot, change } = changed
      const { identity } = snapshot.state
      for (const ended of change.ended ?? []) this.#ended.set(ended.name, { ...ended, identity })
      const index = this.#indexWith(snapshot, change)
      this.#take({ ...snapshot, ...this.#ownAfter(from, change) })
      this.#index = index
      this.#news.post(stampOf(snapshot))
      if (change.takeBack !== undefined) this.#options.takenBack(snapshot.state)
      if (change.pulled !== undefined) this.#options.pulled(snapshot.state, change.pulled)
      void this.#tell(sends)
    }
    return changed
  }

  close(): void {
    this.#news.close()
  }

  /** The index, if all that changes is what is added at the end: so a long outbox that grows is looked through once. */
  #indexWith({ outbox }: SyncSnapshot, { put = [], remove = [] }: SyncChange): OutboxIndex | undefined {
    const [copy, index] = [this.#copy, this.#index]
    if (copy === undefined || remove.length > 0 || outbox.length !== copy.outbox.length + put.length) return undefined
    const last = largestNOf(copy)
    if (index === undefined || put.some(({ n }) => n <= last)) return undefined
    for (const row of put) index.add(row)
    return index
  }

  /** The own rows after a change, as far as they are known. */
  #ownAfter(from: SyncSnapshot, { own = [], takeBack }: SyncChange): Pick<OutboxCopy, 'own' | 'ownFrom'> {
    const copy = this.#copy
    if (copy?.state.turn !== from.state.turn) return { own: [], ownFrom: Infinity }
    const kept = takeBack === undefined ? copy.own : ownUpTo(copy.own, takeBack.upTo)
    // Behind the cursor of before nothing was missing.
    const ownFrom = Math.min(copy.ownFrom, from.state.cursor.at, takeBack?.upTo ?? Infinity)
    return { own: withOwn(kept, own), ownFrom }
  }

  /** Looks whether the copy is still true, and reads it again if not. Calls share a look that has not begun. */
  #look(): Promise<void> {
    return (this.#waiting ??= this.#nextLook())
  }

  async #nextLook(): Promise<void> {
    await this.#looking.catch(() => {})
    this.#waiting = undefined
    await (this.#looking = this.#refresh())
  }

  async #refresh(): Promise<void> {
    const copy = this.#copy
    const stamp = copy && (await this.#storage.stamp())
    // Edited by hand. A copy that never becomes true again would keep an append trying for ever.
    if (stamp !== undefined && isNewer(stampOf(copy as OutboxCopy), stamp))
      throw new StorageDamagedError(say`The outbox of the synced store went back: it was edited. Reload the page.`)
    if (stamp === undefined || this.#copy === undefined || isNewer(stamp, stampOf(this.#copy)))
      await this.#load(copy?.ownFrom ?? Infinity)
  }

  async #load(ownFrom: number): Promise<void> {
    if (ownFrom === Infinity) {
      const snapshot = await this.#storage.load()
      this.#take({ ...snapshot, own: [], ownFrom: snapshot.state.cursor.at })
    } else this.#take({ ...(await this.#storage.loadOwn(ownFrom)), ownFrom })
    const stamp = stampOf(this.#copy as OutboxCopy)
    if (this.#shown === undefined) this.#shown = stamp
    else if (isNewer(stamp, this.#shown)) void this.#tell(true)
  }

  /** Never an older one in the place of a newer one. */
  #take(copy: OutboxCopy): void {
    const before = this.#copy
    if (before !== undefined && isNewer(stampOf(before), stampOf(copy))) return
    const taken = copy.ownFrom === Infinity ? { ...copy, ownFrom: copy.state.cursor.at } : copy
    this.#copy = taken
    this.#index = undefined
    const { identity } = copy.state
    const isOther = this.#identity !== undefined && this.#identity !== identity
    this.#identity = identity
    if (isOther) this.#options.takenBack(copy.state)
  }

  /** Resolves when the listeners have noticed. */
  #tell(isAppended: boolean): Promise<void> {
    this.#shown = this.#copy && stampOf(this.#copy)
    return this.#news.tell(isAppended)
  }
}
