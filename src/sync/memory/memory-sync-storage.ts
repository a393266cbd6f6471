/** A synced store's outbox, cursor and log in memory. Every change is synchronous, and so one transaction. */
import type { MemoryLog } from '../../log/memory/memory-log.js'
import { firstState, isBehind, isNext, joinedOwn, ownUpTo } from '../change-rules.js'
import type { OutboxRow, OwnRow, SyncChange, SyncSnapshot, SyncState } from '../sync-state.js'
import type { ConfirmedEvents, SyncStorage } from '../sync-storage.js'

export class MemorySyncStorage implements SyncStorage {
  readonly #log: MemoryLog
  #state: SyncState
  readonly #outbox = new Map<number, OutboxRow>()
  #own: OwnRow[] = []
  /** Of any commit that was ever here. */
  #largestN = 0

  constructor(log: MemoryLog, identity: string) {
    this.#log = log
    this.#state = firstState(identity)
  }

  /** The id of the log as it is now. */
  get identity(): string {
    return this.#state.identity
  }

  async load(): Promise<SyncSnapshot> {
    return this.#snapshot()
  }

  async loadOwn(after: number): Promise<SyncSnapshot & { own: readonly OwnRow[] }> {
    return { ...this.#snapshot(), own: this.#own.filter((row) => isBehind(row, after)) }
  }

  async append(row: OutboxRow, from: SyncState): Promise<'stored' | 'moved'> {
    if (this.#state.turn !== from.turn || row.n <= Math.max(this.#largestN, this.#state.largestN)) return 'moved'
    this.#put(structuredClone(row))
    return 'stored'
  }

  async apply(change: SyncChange, from: SyncState): Promise<'stored' | 'moved' | 'inconsistent'> {
    if (this.#state.turn !== from.turn) return 'moved'
    const { state, put = [], remove = [], own = [], pulled, takeBack } = structuredClone(change)
    const log = this.#log
    if (pulled !== undefined && !isNext(pulled, log.length, (stream) => log.versionOf(stream))) return 'inconsistent'
    if (takeBack !== undefined) {
      log.takeBack(takeBack.upTo)
      this.#own = ownUpTo(this.#own, takeBack.upTo)
    }
    if (pulled !== undefined) log.addRecorded(pulled.events, pulled.starts)
    const last = this.#own.pop()
    // One by one: a list of a hundred thousand is more than an engine takes as arguments.
    for (const row of joinedOwn(last, own)) this.#own.push(row)
    for (const n of remove) this.#outbox.delete(n)
    for (const row of put) this.#put(row)
    this.#state = state
    return 'stored'
  }

  async confirmed(after: number, limit: number): Promise<ConfirmedEvents> {
    return this.#log.recorded(after, limit)
  }

  #snapshot(): SyncSnapshot {
    const outbox = [...this.#outbox.values()].sort((left, right) => left.n - right.n)
    return structuredClone({ state: this.#state, outbox })
  }

  #put(row: OutboxRow): void {
    this.#outbox.set(row.n, row)
    this.#largestN = Math.max(this.#largestN, row.n)
  }
}
