/** A synced store's outbox, cursor and log in memory. Every change is synchronous, and so one transaction. */
import type { MemoryLog } from '../../log/memory/memory-log.js'
import { completed, firstState, isBehind, isNext, joinedOwn, ownUpTo, withoutNeeds } from '../change-rules.js'
import type { OutboxRow, OwnRow, SyncChange, SyncRule, SyncSnapshot, SyncState } from '../sync-state.js'
import type { Changed, ConfirmedEvents } from '../sync-storage.js'
import type { ConfirmedFacts, DeviceStorage, OutboxStamp, StreamEnd } from '../device-storage.js'
import { IdGaps } from '../../log/record/id-gaps.js'
import type { PreparedAppend } from '../../log/prepared-append.js'
import type { StoredEvent } from '../../log/record/record-text.js'

export class MemorySyncStorage implements DeviceStorage {
  readonly #log: MemoryLog
  #state: SyncState
  readonly #outbox = new Map<number, OutboxRow>()
  #own: OwnRow[] = []
  /** Of any commit that was ever here. */
  #largestN = 0
  /** State and outbox, until they change. */
  #known: SyncSnapshot | undefined

  readonly #checkpoints: Map<string, number>

  /** @param checkpoints of plain projectors */
  constructor(log: MemoryLog, identity: string, checkpoints = new Map<string, number>()) {
    this.#log = log
    this.#checkpoints = checkpoints
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
    this.#put(row)
    return 'stored'
  }

  async change(from: SyncSnapshot, rule: SyncRule): Promise<Changed> {
    // (N59)
    if (this.#state.turn !== from.state.turn) return { kind: 'moved' }
    const snapshot = completed(from, this.#snapshot().outbox)
    const wanted = rule(snapshot)
    if (wanted === undefined) return { kind: 'unchanged', snapshot }
    const { pulled } = wanted
    const log = this.#log
    if (pulled !== undefined && !isNext(pulled, log.length, (stream) => log.versionOf(stream)))
      return { kind: 'inconsistent' }
    this.#apply(wanted)
    return { kind: 'stored', change: wanted, snapshot: this.#snapshot() }
  }

  #apply({ state, put = [], remove = [], own = [], pulled, takeBack, forget }: SyncChange): void {
    const log = this.#log
    for (const identity of forget?.attic ?? []) log.attic.delete(identity)
    if (takeBack !== undefined) {
      const lost = log.recorded(takeBack.upTo, Infinity)
      log.takeBack(takeBack.upTo)
      this.#own = ownUpTo(this.#own, takeBack.upTo)
      for (const [name, position] of this.#checkpoints) this.#checkpoints.set(name, Math.min(position, takeBack.upTo))
      log.attic.set(this.#state.identity, lost)
    }
    const { needsUpTo = 0 } = forget ?? {}
    const isOld = ({ at }: OwnRow) => at <= needsUpTo
    if (needsUpTo > 0) this.#own = [...withoutNeeds(this.#own.filter(isOld)), ...this.#own.filter((row) => !isOld(row))]
    if (pulled !== undefined) log.addRecorded(pulled.events, pulled.starts)
    const last = this.#own.pop()
    // One by one: a list of a hundred thousand is more than an engine takes as arguments.
    for (const row of joinedOwn(last, own)) this.#own.push(row)
    if (own.some(({ at }) => at < (last?.at ?? 0))) this.#own.sort((left, right) => left.at - right.at)
    for (const n of remove) this.#outbox.delete(n)
    for (const row of put) this.#put(row)
    this.#state = state
    this.#known = undefined
  }

  async stamp(): Promise<OutboxStamp & Pick<SyncState, 'identity'>> {
    const { turn, largestN, identity } = this.#state
    return { turn, largestN: Math.max(largestN, this.#largestN), identity }
  }

  async facts({ events, expected, condition }: PreparedAppend): Promise<ConfirmedFacts> {
    const log = this.#log
    const at = (position: number) => log.eventAt(position)
    const known = new Map<string, StoredEvent>()
    for (const { id, idGiven } of events) {
      const position = idGiven ? log.positionOf(id) : undefined
      if (position !== undefined) known.set(id, at(position))
    }
    const ends = new Map<string, StreamEnd>()
    for (const stream of expected.keys()) {
      const position = log.lastOf(stream)
      if (position !== undefined) ends.set(stream, at(position))
    }
    let match: number | undefined
    for (let position = (condition?.after ?? 0) + 1; position <= log.length && match === undefined; position += 1)
      if (condition?.filter.matches(at(position)) === true) match = position
    const lastId = log.length === 0 ? null : at(log.length).id
    return { turn: this.#state.turn, head: log.length, lastId, ends, known, ids: new IdGaps([]), match }
  }

  async confirmed(after: number, limit: number): Promise<ConfirmedEvents> {
    return this.#log.recorded(after, limit)
  }

  #snapshot(): SyncSnapshot {
    if (this.#known === undefined) {
      const outbox = [...this.#outbox.values()].sort((left, right) => left.n - right.n)
      this.#known = { state: this.#state, outbox }
    }
    return { ...this.#known, outbox: [...this.#known.outbox] }
  }

  #put(row: OutboxRow): void {
    // Like those that are on a device: what the caller does with its own changes nothing.
    this.#outbox.set(row.n, structuredClone(row))
    this.#known = undefined
    this.#largestN = Math.max(this.#largestN, row.n)
  }
}
