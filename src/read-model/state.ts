/**
 * What is stored about a read model, and how it may change: pure, so that the rules of exactly-once are the same on
 * every backend. A backend calls these inside its transaction, with the state as it is there.
 */
import { InvalidArgumentError, LeadershipLostError } from '../errors.js'
import { say } from '../messages.js'
import {
  workingPosition,
  type DeadLetterRecord,
  type FaultOutcome,
  type ProjectionState,
  type StoredFault,
} from '../projection/target.js'
import type { RowKey, MapKey } from './keys.js'

/** Rows are on one of two slots: readers see one, a rebuild fills the other. */
export type Slot = 0 | 1

export const other = (slot: Slot): Slot => (slot === 0 ? 1 : 0)

/** The one row of state. */
export interface StateRow extends ProjectionState {
  readonly key: 'state'
  /** Which log the rows were folded from. */
  readonly log: string
  /** The tables as declared when the database was made. */
  readonly fingerprint: string
  /**
   * Which events are handled; absent where a build that did not store it made the database, until the next run. See
   * `handledBy`.
   */
  readonly handles?: string
  /** The slot that readers see. */
  readonly shown: Slot
  /** Which code made the rows, while an app is developed: see `code.ts`. */
  readonly code?: { readonly text: string; readonly ranAt: number }
  /** How many rows there are, where the backend keeps count of them. */
  readonly counts?: RowCounts
  /** Names what readers see; absent until a build that knows of stamps changes it. See `stamps.ts`. */
  readonly stamp?: Stamp
}

/** A name for the rows and the position that readers see. */
export interface Stamp {
  /** Drawn at random each time that they see something else. */
  readonly id: string
  /** How often that was. */
  readonly revision: number
  /** What it is true of: see {@link stampOf}. A tidemark that does not know of stamps leaves it as it was. */
  readonly of: string
}

/** How many rows each table of a slot has; a table that is not named is empty. */
export type TableCounts = { readonly [table: string]: number }

/** How many rows the packed tables have, so that counting reads no rows. */
export interface RowCounts {
  /**
   * The version stamp of the state that this is true of: a tidemark that does not know of counts commits without them.
   */
  readonly of: string
  /** A slot is missing if its rows were not counted from the first one on. */
  readonly sides: { readonly [S in Slot]?: TableCounts }
}

/**
 * The version stamp of a state: as long as it is the same, so are the rows. Stored with the counts, so its form stays.
 * `both` includes what a rebuild does behind the rows that readers see.
 */
export const stampOf = ({ epoch, position, rebuild, shown }: StateRow, both = true): string =>
  `${epoch}:${position}:${(both ? rebuild?.position : undefined) ?? ''}:${shown}`

/** How many events that were skipped by hand are remembered. */
const maxSkipped = 1000

/** The slot that a runner writes to. */
export const workingSlot = (state: StateRow): Slot => (state.rebuild === undefined ? state.shown : other(state.shown))

/** Rows to be stored, by table and key; a row that is `null` is deleted. */
export type RowChanges = ReadonlyMap<string, ReadonlyMap<MapKey, { readonly key: RowKey; readonly row: unknown }>>

/** What one commit stores. */
export interface Commit {
  /**
   * The state that the runner began with, or that its last commit left. The commit is refused if another run has moved
   * the checkpoint or raised the epoch since.
   */
  readonly from: StateRow
  readonly position: number
  /** `position` is the head: a rebuild is complete. */
  readonly caughtUp: boolean
  /** See {@link ProjectionState.unclean}. */
  readonly ends?: number | undefined
  readonly rows: RowChanges
  readonly letters: readonly DeadLetterRecord[]
}

/** A new state, the slots whose rows and dead letters are deleted with it, and whether readers see something else. */
export interface Transition {
  readonly after: StateRow
  /** @default none */
  readonly clear?: readonly Slot[]
  /** Readers see other rows, or another position. @default false */
  readonly shows?: boolean
}

/** Before the first event. */
export const emptyState = (log: string, fingerprint: string, handles?: string): StateRow => ({
  key: 'state',
  position: 0,
  epoch: 0,
  owner: '',
  paused: false,
  letters: 0,
  log,
  fingerprint,
  ...(handles !== undefined && { handles }),
  shown: 0,
})

/** The highest position of both slots in the log that is folded. */
const farthest = ({ position, rebuild }: StateRow): number =>
  Math.max(rebuild?.log === undefined ? position : 0, rebuild?.position ?? 0)

/** What a runner knows when it begins. */
export interface TakeOver {
  readonly owner: string
  /** The state as it was before the head was read … */
  readonly seen: StateRow
  /** … and the head: only what was beyond it already then is beyond it. */
  readonly head: number
  /** The event that this run applied alone and survived, so it is not a poison event. */
  readonly survived?: number | undefined
  /** Aborts when the runner is no longer wanted. */
  readonly signal?: AbortSignal | undefined
  /** Which events its definition handles: stored if an older build stored nothing. */
  readonly handles?: string
  /** The events that were skipped by hand in earlier versions, if this run looked for them. */
  readonly carried?: readonly number[] | undefined
  /** Of a log whose tail may have been taken back: what it is now. */
  readonly now?: LogNow | undefined
}

/** What a log is now that may be another one than rows were folded from. */
export interface LogNow {
  readonly id: string
  /** The log of `seen` was the same up to this position. */
  readonly sameUpTo: number
}

/**
 * A runner begins, and retries the event that stopped the one before it. Rows of another log, or from beyond the head,
 * are deleted and built again from the first event.
 */
export function takeOver(stored: StateRow, opened: string, how: TakeOver): Transition {
  const { owner, seen, head, signal, handles = stored.handles, carried, now } = how
  signal?.throwIfAborted()
  const log = now?.id ?? opened
  const before = now === undefined ? stored : continued(stored, how)
  if (before.rebuild?.log !== undefined && stored.rebuild?.log !== log)
    return { after: { ...before, ...(handles !== undefined && { handles }), owner }, clear: [other(before.shown)] }
  const { fault: _fault, unclean: _unclean, trying: _trying, ...rest } = before
  const found =
    carried === undefined ? {} : { carried: [...new Set([...(before.carried ?? []), ...carried])].slice(-maxSkipped) }
  const epoch = before.epoch + 1
  // A leader that committed after `seen` was read is ahead of that head, not of the log.
  const beyond = farthest(seen) > head && farthest(before) === farthest(seen)
  if ((before.rebuild?.log ?? before.log) === log && !beyond)
    return {
      after: { ...rest, ...(handles !== undefined && { handles }), ...found, epoch, owner, ...suspicion(before, how) },
      // The raised epoch ends the runs of builds that do not know of stamps.
      shows: before.stamp === undefined,
    }
  return {
    after: { ...emptyState(log, before.fingerprint, handles), ...found, paused: before.paused, epoch, owner },
    clear: [0, 1],
    shows: true,
  }
}

/**
 * Rows of a log whose tail was taken back. They are today's if they hold nothing of that tail; otherwise they are built
 * again behind those that readers see, and then take their place, whatever the position.
 */
function continued(before: StateRow, { seen, now }: TakeOver): StateRow {
  const { id, sameUpTo } = now as LogNow
  const { rebuild, skipped: _skipped, carried: _carried, ...rest } = before
  if ((rebuild?.log ?? before.log) === id) return before
  if (rebuild?.log === undefined && before.log === seen.log && farthest(before) <= sameUpTo)
    return { ...before, log: id }
  const { fault: _fault, rebuildFault: _rebuildFault, ...working } = unsuspected(rest)
  return { ...working, epoch: before.epoch + 1, rebuild: { position: 0, letters: 0, log: id } }
}

/** The log is another one from some position on: runs end, and what stopped one may not be there any more. */
export function ofAnotherLog(before: StateRow, log: string): StateRow {
  if ((before.rebuild?.log ?? before.log) === log) return before
  const { fault, ...rest } = before
  return { ...rest, epoch: before.epoch + 1, ...(fault !== undefined && { owner: '' }) }
}

/** What is known about poison events, as long as there are events to apply. */
function suspicion(before: StateRow, { owner, head, survived }: TakeOver): Pick<StateRow, 'unclean' | 'trying'> {
  const { unclean, trying, fault } = before
  const at = workingPosition(before)
  if (head <= at) return {}
  // The same run continues, or the last one recorded why it ended.
  const alive = before.owner === owner || fault !== undefined
  const ends = unclean?.position === at ? unclean.ends + (alive ? 0 : 1) : 0
  return {
    unclean: { position: at, ends },
    ...(trying !== undefined && trying.position > at && trying.position !== survived && { trying }),
  }
}

/** Notes that an event is applied alone. Without `position`: the last one did not end the run. */
export function tried(key: string, { trying, ...before }: StateRow, from: StateRow, position?: number): StateRow {
  assertFence(key, before, from)
  return position === undefined
    ? before
    : { ...before, trying: { position, runs: trying?.position === position ? trying.runs + 1 : 1 } }
}

/** Without what is noted about poison events: they were survived, or are to be tried again. */
function unsuspected({ unclean: _unclean, trying: _trying, ...rest }: StateRow): StateRow {
  return rest
}

/**
 * @throws LeadershipLostError if another run moved the checkpoint or raised the epoch: this is the whole exactly-once
 * argument
 */
function assertFence(key: string, before: StateRow, from: StateRow): void {
  const [is, was] = [workingPosition(before), workingPosition(from)]
  if (is !== was || before.epoch !== from.epoch)
    throw new LeadershipLostError(
      key,
      say`its checkpoint is ${is} in epoch ${before.epoch}, not ${was} in epoch ${from.epoch}.`,
    )
}

/** Rows, dead letters and checkpoint move together. */
export function committed(
  key: string,
  stored: StateRow,
  { from, position, caughtUp, ends = 0, letters }: Commit,
): Transition {
  assertFence(key, stored, from)
  const { trying } = stored
  const before: StateRow = {
    ...unsuspected(stored),
    ...(ends > 0 && !caughtUp && { unclean: { position, ends } }),
    ...(trying !== undefined && trying.position > position && { trying }),
  }
  const { rebuild, fault, rebuildFault, holds: _holds, ...rest } = before
  const moved = {
    position,
    letters: (rebuild ?? before).letters + letters.length,
    ...(((rebuild ?? before).holds === true || letters.some(({ holdsStream }) => holdsStream === true)) && {
      holds: true as const,
    }),
  }
  if (rebuild === undefined) {
    const kept = {
      ...(fault !== undefined && fault.position > position && { fault }),
      ...(rebuildFault !== undefined && { rebuildFault }),
    }
    return { after: { ...rest, ...kept, ...moved }, shows: true }
  }
  const { log } = rebuild
  // Never back: readers keep the old rows until the new ones know at least as much.
  if (!caughtUp || (log === undefined && position < before.position))
    return { after: { ...before, rebuild: log === undefined ? moved : { ...moved, log } } }
  return {
    after: { ...rest, ...moved, ...(log !== undefined && { log }), shown: other(before.shown) },
    clear: [before.shown],
    shows: true,
  }
}

/** Begins a rebuild, or restarts one. */
export function rebuildStarted(before: StateRow): Transition {
  const { fault: _fault, rebuildFault: _rebuildFault, ...rest } = unsuspected(before)
  return {
    after: { ...rest, epoch: before.epoch + 1, rebuild: { position: 0, letters: 0 } },
    clear: [other(before.shown)],
  }
}

/**
 * Records why a run stopped that survived the event `survived`. A rebuild is given up, and the rows from before it
 * stay.
 */
export function faulted(before: StateRow, from: StateRow, fault: StoredFault, survived?: number): Transition {
  // A rebuild began, or another run took over: this fault is outdated.
  if (before.epoch !== from.epoch) return { after: before }
  const { rebuild, trying, ...rest } = before
  // Rows of an earlier log cannot be kept up to date: the run stops.
  if (rebuild?.log !== undefined) return { after: { ...before, fault } }
  if (rebuild === undefined)
    return {
      after: { ...rest, ...(trying !== undefined && trying.position !== survived && { trying }), fault },
    }
  return { after: { ...unsuspected(rest), epoch: before.epoch + 1, rebuildFault: fault }, clear: [other(before.shown)] }
}

/** What recording the fault did. */
export const faultOutcome = (after: StateRow, fault: StoredFault): FaultOutcome =>
  after.fault === fault ? 'stopped' : after.rebuildFault === fault ? 'rebuild-given-up' : 'moved'

/** @throws InvalidArgumentError if the projection has not stopped at that event, or has passed it since */
export function skipped(before: StateRow, position: number): StateRow {
  const { fault, ...rest } = before
  if (fault?.position !== position || before.position >= position) {
    const stopped = fault === undefined ? say`it has not stopped at an event` : say`it stopped at ${fault.position}`
    throw new InvalidArgumentError(
      'position',
      say`is ${position}, but the projection is at ${before.position} and ${stopped}. Read its status again.`,
    )
  }
  return {
    ...rest,
    position,
    epoch: before.epoch + 1,
    skipped: [...(before.skipped ?? []), position].slice(-maxSkipped),
  }
}

/** Pauses or resumes. A resumed projection retries the event that stopped it. */
export const pausedOrNot = (before: StateRow, paused: boolean): StateRow => ({
  ...(paused ? before : unsuspected(before)),
  paused,
})
