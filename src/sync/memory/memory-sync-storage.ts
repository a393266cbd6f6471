/** A synced store's outbox, cursor and log in memory. Every change is synchronous, and so one transaction. */
import type { MemoryLog } from '../../log/memory/memory-log.js'
import { completed, firstState, isBehind, isNext, joinedOwn, ownUpTo } from '../change-rules.js'
import type { OutboxRow, OwnRow, SyncChange, SyncRule, SyncSnapshot, SyncState } from '../sync-state.js'
import type { Changed, ConfirmedEvents, SyncStorage } from '../sync-storage.js'

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

  async change(from: SyncSnapshot, rule: SyncRule): Promise<Changed> {
    if (this.#state.turn !== from.state.turn) return { kind: 'moved' }
    const snapshot = completed(from, this.#snapshot().outbox)
    const wanted = rule(snapshot)
    if (wanted === undefined) return { kind: 'unchanged', snapshot }
    const change = structuredClone(wanted)
    const { pulled } = change
    const log = this.#log
    if (pulled !== undefined && !isNext(pulled, log.length, (stream) => log.versionOf(stream)))
      return { kind: 'inconsistent' }
    this.#apply(change)
    return { kind: 'stored', change, snapshot: this.#snapshot() }
  }

  #apply({ state, put = [], remove = [], own = [], pulled, takeBack }: SyncChange): void {
    const log = this.#log
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
