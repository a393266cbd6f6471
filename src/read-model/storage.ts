/** Where the rows of a read model live, together with the checkpoint. Two implementations keep the same promises. */
import { InvalidArgumentError, LeadershipLostError, ProjectionError } from '../errors.js'
import type { CommitResult, DeadLetterRecord, ProjectionState, StoredFault } from '../projection/target.js'
import type { TableShape } from './definition.js'
import { checkedRange, type KeyRange } from './keys.js'

/** Rows exist twice while a rebuild is under way: in the slot that is read, and in the other one. */
export type Slot = 'a' | 'b'

/** What a storage must know of its read model. */
export interface StorageShape {
  readonly name: string
  /** `name@version` */
  readonly key: string
  readonly fingerprint: string
  readonly tables: Readonly<Record<string, TableShape>>
}

/** Which rows, and in which order. */
export interface RowQuery {
  /** The index to go by. @default the key */
  readonly index?: string
  /** Of the index's keys, or of the rows' keys without an index. @default all */
  readonly range?: KeyRange
  /** @default 'next' */
  readonly direction?: 'next' | 'prev'
  /** The most rows; 0 answers with none. @default all */
  readonly limit?: number
}

/** An answer, and up to which event the rows that made it had got. */
export interface At<T> {
  readonly value: T
  /** Every event up to here was in the rows that were read. */
  readonly position: number
}

/** What the log is now: its identity, and where it ends. */
export interface LogIdentity {
  readonly incarnation: string
  readonly head: number
}

/** Where a runner stands. Its commits are refused once the storage says otherwise. */
export interface Standing {
  readonly state: ProjectionState
  /** Where rows are read from and written to. */
  readonly slot: Slot
  readonly incarnation: string | undefined
}

/** One changed row; `row` is missing for a deleted one. */
export interface RowChange {
  readonly key: IDBValidKey
  readonly row: object | undefined
}

/** What one commit stores, all or nothing. */
export interface ReadModelCommit {
  readonly expected: { readonly position: number; readonly epoch: number; readonly incarnation: string | undefined }
  readonly slot: Slot
  /** The new checkpoint. */
  readonly position: number
  readonly rows: ReadonlyMap<string, readonly RowChange[]>
  readonly letters: readonly DeadLetterRecord[]
  /** `position` is the head of the log: a rebuild is done and takes over in the same transaction. */
  readonly caughtUp: boolean
}

/** What replays one dead letter: its rows and its removal. The checkpoint stays (N20). */
export interface LetterReplay {
  readonly expected: { readonly position: number; readonly epoch: number }
  readonly slot: Slot
  readonly letter: number
  readonly rows: ReadonlyMap<string, readonly RowChange[]>
}

/** A hint that rows changed. */
export interface ReadModelChange {
  /** Of the rows that are read. */
  readonly position: number
  readonly tables: readonly string[]
  /** By table, where few rows changed. Without it, any row may have. */
  readonly keys?: Readonly<Record<string, readonly IDBValidKey[]>>
}

/** See the top of this file. Every method may reject with StorageBusyError, StorageFullError, StorageFailedError, ClosedError. */
export interface ReadModelStorage {
  readonly shape: StorageShape
  /** Reads the state without changing it. `state.position` is that of the rows that are read. */
  state(): Promise<ProjectionState>
  /** Where a runner would stand, without taking over. `active` asks for the rows that are read, even while a rebuild goes on. */
  standing(active: boolean): Promise<Standing>
  /** Takes over: raises the epoch. Starts over if the log is another one, or ends before the checkpoint (N36). */
  begin(owner: string, log: LogIdentity): Promise<Standing>
  /** Rows by table and key, in one transaction; in the order of the keys. */
  getMany(slot: Slot, wanted: ReadonlyMap<string, readonly IDBValidKey[]>): Promise<Map<string, (object | undefined)[]>>
  /** @throws LeadershipLostError if position, epoch or log are not the expected ones; nothing is stored then (N13) */
  commit(commit: ReadModelCommit): Promise<CommitResult>
  /** The rows that are read. */
  get(table: string, key: IDBValidKey): Promise<At<object | undefined>>
  query(table: string, query: RowQuery): Promise<At<object[]>>
  count(table: string, query: Pick<RowQuery, 'index' | 'range'>): Promise<At<number>>
  /** The dead letters of the rows that are read, in position order. */
  letters(): Promise<DeadLetterRecord[]>
  /** Whether there was such a letter. */
  removeLetter(position: number): Promise<boolean>
  /** Stores a replayed letter; false if the letter was gone. Raises the epoch, because runners hold older rows in memory. */
  replayLetter(replay: LetterReplay): Promise<boolean>
  setPaused(paused: boolean): Promise<void>
  recordFault(fault: StoredFault): Promise<void>
  /** Builds all rows again in the other slot, from the first event. Readers keep the old ones until it has caught up. */
  startRebuild(): Promise<void>
  /** Calls back after each change that this storage made. */
  onChange(listener: (change: ReadModelChange) => void): () => void
  close(): void
}

/** The one record beside the rows. */
export interface Meta {
  readonly position: number
  readonly epoch: number
  readonly owner: string
  readonly paused: boolean
  readonly fault?: StoredFault
  readonly letters: number
  /** Of the log that the rows are made of; missing before the first `begin`. */
  readonly incarnation?: string
  readonly fingerprint: string
  readonly active: Slot
  readonly build?: { readonly slot: Slot; readonly position: number; readonly letters: number }
}

/** How many changed keys of a table a hint carries at most. */
const maxHintKeys = 100

/** The meta record of a new database. */
export function newMeta(fingerprint: string): Meta {
  return { position: 0, epoch: 0, owner: '', paused: false, letters: 0, fingerprint, active: 'a' }
}

/** The other slot. */
export function otherSlot(slot: Slot): Slot {
  return slot === 'a' ? 'b' : 'a'
}

/** The public part of meta. */
export function stateOf(meta: Meta): ProjectionState {
  const { position, epoch, owner, paused, fault, letters, build } = meta
  return {
    position, epoch, owner, paused, letters,
    ...(fault === undefined ? {} : { fault }),
    ...(build === undefined ? {} : { rebuilding: { position: build.position } }),
  }
}

/** Where a runner stands by meta: at the rebuild if there is one. */
export function standingOf(meta: Meta, active = false): Standing {
  const state = stateOf(meta)
  const build = active ? undefined : meta.build
  return build === undefined
    ? { state, slot: meta.active, incarnation: meta.incarnation }
    : { state: { ...state, position: build.position }, slot: build.slot, incarnation: meta.incarnation }
}

/** Meta after a takeover, and which slots must be emptied. */
export function begun(meta: Meta, owner: string, log: LogIdentity): { meta: Meta; clear: Slot[] } {
  const position = Math.max(meta.position, meta.build?.position ?? 0)
  const epoch = meta.epoch + 1
  const stranger = meta.incarnation !== undefined && meta.incarnation !== log.incarnation
  if (stranger || position > log.head) {
    // The rows are made of events that are not in this log: nothing of them may stay (N36).
    return { meta: { ...newMeta(meta.fingerprint), epoch, owner, paused: meta.paused, incarnation: log.incarnation }, clear: ['a', 'b'] }
  }
  return { meta: { ...meta, epoch, owner, incarnation: log.incarnation }, clear: [] }
}

/**
 * Meta after a commit, and which slot a finished rebuild leaves to be emptied.
 *
 * @throws LeadershipLostError if the commit must not happen
 */
export function committed(meta: Meta, commit: ReadModelCommit, name: string): { meta: Meta; clear: Slot[] } {
  const { expected, position, caughtUp, letters } = commit
  const { fault: _fault, build, ...rest } = meta
  const stored = build?.position ?? meta.position
  if (meta.epoch !== expected.epoch) throw new LeadershipLostError(name, `its epoch is ${meta.epoch}, not ${expected.epoch}. Begin again.`)
  if (stored !== expected.position) throw new LeadershipLostError(name, `its checkpoint is ${stored}, not ${expected.position}. Begin again.`)
  if (meta.incarnation !== expected.incarnation) throw new LeadershipLostError(name, 'it now follows another log. Begin again.')
  if ((build?.slot ?? meta.active) !== commit.slot) throw new LeadershipLostError(name, 'a rebuild began or ended. Begin again.')
  if (build === undefined) return { meta: { ...rest, position, letters: meta.letters + letters.length }, clear: [] }
  const moved = { slot: build.slot, position, letters: build.letters + letters.length }
  if (!caughtUp) return { meta: { ...rest, build: moved }, clear: [] }
  return { meta: { ...rest, position, letters: moved.letters, active: moved.slot }, clear: [meta.active] }
}

/** Meta after a rebuild was asked for. The epoch makes a runner that is at work notice. */
export function rebuildStarted(meta: Meta): { meta: Meta; clear: Slot[] } {
  const slot = otherSlot(meta.active)
  const { fault: _fault, ...rest } = meta
  return { meta: { ...rest, epoch: meta.epoch + 1, build: { slot, position: 0, letters: 0 } }, clear: [slot] }
}

/**
 * Meta after a letter was replayed.
 *
 * @throws LeadershipLostError if rows may have changed since they were read
 */
export function letterReplayed(meta: Meta, replay: LetterReplay, name: string): Meta {
  if (meta.epoch !== replay.expected.epoch || meta.position !== replay.expected.position || meta.active !== replay.slot) {
    throw new LeadershipLostError(name, 'rows changed while a dead letter was replayed. Retry.')
  }
  return { ...meta, epoch: meta.epoch + 1, letters: meta.letters - 1 }
}

/** @throws ProjectionError if the tables are not those that the rows were stored with */
export function assertFingerprint(meta: Meta, shape: StorageShape): void {
  if (meta.fingerprint === shape.fingerprint) return
  throw new ProjectionError(
    `The tables of projection '${shape.key}' are not those it was stored with. Raise its 'version', so that it is built anew beside the old one.`,
    { projector: shape.name, attempts: 1 }, undefined, 'definition-changed',
  )
}

/** The hint for changed rows. */
export function changeOf(position: number, rows: ReadonlyMap<string, readonly RowChange[]>): ReadModelChange {
  const changed = [...rows].filter(([, changes]) => changes.length > 0)
  const tables = changed.map(([table]) => table)
  if (changed.some(([, changes]) => changes.length > maxHintKeys)) return { position, tables }
  const keys: Record<string, readonly IDBValidKey[]> = Object.create(null)
  for (const [table, changes] of changed) keys[table] = changes.map(({ key }) => key)
  return { position, tables, keys }
}

/** A query that was checked, so that both storages refuse the same. */
export function checkedQuery(shape: StorageShape, table: string, query: RowQuery): RowQuery & { readonly direction: 'next' | 'prev' } {
  const { index, limit, direction = 'next' } = query
  const range = checkedRange(query.range)
  if (index !== undefined && !Object.hasOwn(shape.tables[table]?.indexes ?? {}, index)) {
    throw new InvalidArgumentError('index', `'${index}' is not declared for table '${table}'.`)
  }
  if (limit !== undefined && (!Number.isSafeInteger(limit) || limit < 0)) throw new InvalidArgumentError('limit', 'must be 0, 1, 2 …')
  if (direction !== 'next' && direction !== 'prev') throw new InvalidArgumentError('direction', "must be 'next' or 'prev'.")
  return { direction, ...(index === undefined ? {} : { index }), ...(range === undefined ? {} : { range }), ...(limit === undefined ? {} : { limit }) }
}

/** Listeners, of whom none can harm another. */
export function createListeners(): { add(listener: (change: ReadModelChange) => void): () => void; tell(change: ReadModelChange): void; clear(): void } {
  const listeners = new Set<(change: ReadModelChange) => void>()
  return {
    add(listener) {
      const own = (change: ReadModelChange) => listener(change)
      listeners.add(own)
      return () => void listeners.delete(own)
    },
    tell(change) {
      for (const listener of [...listeners]) {
        try {
          listener(change)
        } catch (error) {
          // What was committed stays committed; the listener's error belongs to its own author.
          queueMicrotask(() => {
            throw error
          })
        }
      }
    },
    clear: () => listeners.clear(),
  }
}
