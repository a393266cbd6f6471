/**
 * What is stored about a read model, and how it may change: pure, so that the rules of exactly-once are the same on every
 * backend. A backend calls these inside its transaction, with the state as it is there.
 */
import { describe, LogInconsistentError, InvalidArgumentError, LeadershipLostError } from '../errors.js'
import { say } from '../messages.js'
import {
  workingPosition,
  type DeadLetterRecord,
  type FaultOutcome,
  type ProjectionState,
  type StoredFault,
} from '../projection/target.js'
import type { RowKey, MapKey } from './keys.js'
import type { RowCounts } from './row-counts.js'

/** Rows live on one of two slots: readers see one, a rebuild fills the other. */
export type Slot = 0 | 1
const other = (slot: Slot): Slot => (slot === 0 ? 1 : 0)

/** The one row of state. */
export interface StateRow extends ProjectionState {
  readonly key: 'state'
  /** Which log the rows were folded from. */
  readonly log: string
  /** The tables as declared when the database was made. */
  readonly fingerprint: string
  /** Which events are handled; absent where a build that did not store it made the database, until the next run. See `handledBy`. */
  readonly handles?: string
  /** The slot that readers see. */
  readonly shown: Slot
  /** How many rows there are, where the backend keeps count of them. */
  readonly counts?: RowCounts
}

/** Names a state: none that comes after it has the same name. */
export const stampOf = ({ epoch, position, rebuild, shown }: StateRow): string =>
  `${epoch}:${position}:${rebuild?.position ?? ''}:${shown}`

/** A number that may still be raised: two that are no longer told apart would let a runner commit that was passed. */
export const isWhole = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) < Number.MAX_SAFE_INTEGER

type Check = (value: unknown) => boolean
const isText: Check = (value) => typeof value === 'string'
const isTrue: Check = (value) => value === true
const orAbsent =
  (check: Check): Check =>
  (value) =>
    value === undefined || check(value)
const positions: Check = (value) => Array.isArray(value) && value.every((each) => isWhole(each) && each > 0)
const parts =
  (checks: { readonly [name: string]: Check }): Check =>
  (value) =>
    typeof value === 'object' &&
    value !== null &&
    Object.entries(checks).every(([name, check]) => check((value as Record<string, unknown>)[name]))
const faultParts = parts({
  position: isWhole,
  message: isText,
  time: (value) => typeof value === 'number',
  eventId: orAbsent(isText),
  eventType: orAbsent(isText),
})

/** What each entry of the state may be. */
const checks: { readonly [K in keyof StateRow]-?: Check } = {
  key: (value) => value === 'state',
  position: isWhole,
  epoch: isWhole,
  letters: isWhole,
  owner: isText,
  log: isText,
  fingerprint: isText,
  handles: orAbsent(isText),
  paused: (value) => typeof value === 'boolean',
  shown: (value) => value === 0 || value === 1,
  holds: orAbsent(isTrue),
  skipped: orAbsent(positions),
  carried: orAbsent(positions),
  rebuild: orAbsent(parts({ position: isWhole, letters: isWhole, holds: orAbsent(isTrue) })),
  fault: orAbsent(faultParts),
  rebuildFault: orAbsent(faultParts),
  unclean: orAbsent(parts({ position: isWhole, ends: isWhole })),
  trying: orAbsent(parts({ position: isWhole, runs: isWhole })),
  // Rows are counted where this says nothing that can be used.
  counts: () => true,
}

/** What is wrong with a stored state, entry by entry: it was edited. */
export function impossibleIn(row: unknown): string[] {
  if (typeof row !== 'object' || row === null) return [say`The state is ${describe(row)}, which it cannot be.`]
  const wrong = Object.entries(checks)
    .filter(([name, check]) => !check((row as Record<string, unknown>)[name]))
    .map(
      ([name]) =>
        say`The state says '${name}' is ${describe((row as Record<string, unknown>)[name])}, which it cannot be.`,
    )
  const { skipped = [], position, shown, counts } = row as StateRow
  // An event that is still to come would be left out without a word.
  if (wrong.length === 0 && skipped.some((each) => each > position))
    wrong.push(say`The state says 'skipped' names events beyond its position, ${position}, which it cannot do.`)
  // A rebuild that sends readers to the other slot changes more than that.
  if (wrong.length === 0 && counts?.of === stampOf({ ...(row as StateRow), shown: other(shown) })) {
    wrong.push(say`The state says 'shown' is ${shown}, and counts the rows of the other slot, which it cannot do.`)
  }
  return wrong
}

/** @throws LogInconsistentError for a state that no build of this format stored: nothing that follows from it would be true */
export function assertPossible(key: string, row: StateRow): StateRow {
  const [problem] = impossibleIn(row)
  if (problem === undefined) return row
  const { position } = (row ?? {}) as { readonly position?: unknown }
  throw new LogInconsistentError(
    isWhole(position) ? position : 0,
    say`The read model '${key}' was damaged. ${problem} Call deleteReadModel(), or raise 'version': it is folded again.`,
  )
}

/** How many of them are remembered. */
const maxSkipped = 1000

/** Which of some names end with an earlier version, the latest of those first. */
export function earlierVersions(names: readonly string[], prefix: string, version: number): string[] {
  const versionOf = (name: string) =>
    name.startsWith(prefix) && /^[1-9]\d*$/.test(name.slice(prefix.length))
      ? Number(name.slice(prefix.length))
      : version
  return names.filter((name) => versionOf(name) < version).sort((left, right) => versionOf(right) - versionOf(left))
}

/** Whether a run has to look for what earlier versions left out: once, and again where it had stopped. */
export const looksBack = ({ carried, fault }: StateRow, version: number): boolean =>
  version > 1 && (carried === undefined || fault !== undefined)

/** Adds what an earlier version left out by hand. All of them are asked: one may go on, and leave out more, after the next one has looked. */
export function addLeftOut(found: Set<number>, state: StateRow | undefined, log: string): void {
  if (state?.log === log && impossibleIn(state).length === 0)
    for (const position of [...(state.carried ?? []), ...(state.skipped ?? [])]) found.add(position)
}

/** The slot that a runner writes to. */
export const workingSlot = (state: StateRow): Slot => (state.rebuild === undefined ? state.shown : other(state.shown))

/** Rows to be stored, by table and key; a row that is `null` is deleted. */
export type RowChanges = ReadonlyMap<string, ReadonlyMap<MapKey, { readonly key: RowKey; readonly row: unknown }>>

/** What one commit stores. */
export interface Commit {
  /** The state that the runner began with, or that its last commit left: the commit is refused if it is not so any more. */
  readonly from: StateRow
  readonly position: number
  /** `position` is the head: a rebuild is complete. */
  readonly caughtUp: boolean
  /** See {@link ProjectionState.unclean}. */
  readonly ends?: number | undefined
  readonly rows: RowChanges
  readonly letters: readonly DeadLetterRecord[]
}

/** A new state, and the slots whose rows and letters it leaves behind. */
export interface Transition {
  readonly after: StateRow
  readonly clear: readonly Slot[]
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

/** How far either slot has come. */
const farthest = ({ position, rebuild }: StateRow): number => Math.max(position, rebuild?.position ?? 0)

/** What a runner knows when it begins. */
export interface TakeOver {
  readonly owner: string
  /** The state as it was before the head was read … */
  readonly seen: StateRow
  /** … and the head: only what was beyond it already then is beyond it. */
  readonly head: number
  /** The event that it tried alone, and lived through: whoever comes here was not killed by it. */
  readonly survived?: number | undefined
  /** Aborts where the runner is not wanted any more. */
  readonly signal?: AbortSignal | undefined
  /** Which events its definition handles: stored where nothing is, as older builds left it. */
  readonly handles?: string
  /** What was left out by hand in earlier versions, where that was looked for. */
  readonly carried?: readonly number[] | undefined
}

/**
 * A runner begins, and tries what stopped the one before it. Rows of another log, or from beyond the head, are dropped: they
 * are built again from the first event.
 */
export function takeOver(before: StateRow, log: string, how: TakeOver): Transition {
  const { owner, seen, head, signal, handles = before.handles, carried } = how
  signal?.throwIfAborted()
  const { fault: _fault, unclean: _unclean, trying: _trying, ...rest } = before
  const found =
    carried === undefined ? {} : { carried: [...new Set([...(before.carried ?? []), ...carried])].slice(-maxSkipped) }
  const epoch = before.epoch + 1
  // A leader that went on since `seen` is ahead of that head, not of the log.
  const beyond = farthest(seen) > head && farthest(before) === farthest(seen)
  if (before.log === log && !beyond)
    return {
      after: { ...rest, ...(handles !== undefined && { handles }), ...found, epoch, owner, ...suspicion(before, how) },
      clear: [],
    }
  return {
    after: { ...emptyState(log, before.fingerprint, handles), ...found, paused: before.paused, epoch, owner },
    clear: [0, 1],
  }
}

/** What is to be thought of the runs before, as long as there is anything to do. */
function suspicion(before: StateRow, { owner, head, survived }: TakeOver): Pick<StateRow, 'unclean' | 'trying'> {
  const { unclean, trying, fault } = before
  const at = workingPosition(before)
  if (head <= at) return {}
  // The run that begins is the last one, which goes on, or the last one said why it ended.
  const alive = before.owner === owner || fault !== undefined
  const ends = unclean?.position === at ? unclean.ends + (alive ? 0 : 1) : 0
  return {
    unclean: { position: at, ends },
    ...(trying !== undefined && trying.position > at && trying.position !== survived && { trying }),
  }
}

/** An event is applied alone. Without one: the last one did not end the run. */
export function tried(key: string, { trying, ...before }: StateRow, from: StateRow, position?: number): StateRow {
  assertFence(key, before, from, workingPosition)
  return position === undefined
    ? before
    : { ...before, trying: { position, runs: trying?.position === position ? trying.runs + 1 : 1 } }
}

/** Somebody resumes a projection, or begins it again: whatever was suspected is tried. */
function unsuspected({ unclean: _unclean, trying: _trying, ...rest }: StateRow): StateRow {
  return rest
}

/** @throws LeadershipLostError if somebody else moved the checkpoint or raised the epoch: the whole exactly-once argument */
function assertFence(key: string, before: StateRow, from: StateRow, positionOf: (state: StateRow) => number): void {
  if (positionOf(before) === positionOf(from) && before.epoch === from.epoch) return
  throw new LeadershipLostError(
    key,
    say`its checkpoint is ${positionOf(before)} in epoch ${before.epoch}, not ${positionOf(from)} in epoch ${from.epoch}.`,
  )
}

/** Rows, letters and checkpoint move together. */
export function committed(
  key: string,
  stored: StateRow,
  { from, position, caughtUp, ends = 0, letters }: Commit,
): Transition {
  assertFence(key, stored, from, workingPosition)
  const { trying } = stored
  const before: StateRow = {
    ...unsuspected(stored),
    ...(ends > 0 && !caughtUp && { unclean: { position, ends } }),
    ...(trying !== undefined && trying.position > position && { trying }),
  }
  const { rebuild, fault, rebuildFault, ...rest } = before
  const holds = letters.some(({ holdsStream }) => holdsStream === true)
  if (rebuild === undefined) {
    const kept = {
      ...(fault !== undefined && fault.position > position ? { fault } : {}),
      ...(rebuildFault === undefined ? {} : { rebuildFault }),
    }
    return {
      after: {
        ...rest,
        ...kept,
        ...(holds && { holds: true as const }),
        position,
        letters: before.letters + letters.length,
      },
      clear: [],
    }
  }
  const built = {
    position,
    letters: rebuild.letters + letters.length,
    ...((holds || rebuild.holds === true) && { holds: true as const }),
  }
  // Never back: readers keep the old rows until the new ones know at least as much.
  if (!caughtUp || position < before.position) return { after: { ...before, rebuild: built }, clear: [] }
  const { holds: _holds, ...others } = rest
  return { after: { ...others, ...built, shown: other(before.shown) }, clear: [before.shown] }
}

/** Rows as a unit of work found them. */
export type RowsRead = readonly { readonly table: string; readonly key: RowKey; readonly row: unknown }[]

/**
 * A parked event was applied after all, to rows that are still those it read; how far the projection went meanwhile does not
 * matter. The epoch makes the leader drop what it remembers of the rows that changed.
 */
export function replayed(
  key: string,
  before: StateRow,
  from: StateRow,
  found: { readonly letter: boolean; readonly waitsFor: number | undefined; readonly rowsAsRead: boolean },
): StateRow {
  // Where nobody touched anything they need not be compared, which only works for plain data.
  const untouched = before.epoch === from.epoch && before.position === from.position
  if (before.shown !== from.shown || before.log !== from.log || !(untouched || found.rowsAsRead))
    throw new LeadershipLostError(key, say`the rows that a replayed letter started from were changed.`)
  if (!found.letter)
    throw new InvalidArgumentError('letter', say`is not there any more: it was replayed or discarded already.`)
  if (found.waitsFor !== undefined) {
    throw new InvalidArgumentError(
      'letter',
      say`waits for that of position ${found.waitsFor}, which is of the same stream and comes first. Replay or discard that one before.`,
    )
  }
  return withoutLetter(before, true)
}

/** The letter that has to be replayed before this one, of those up to it in order. */
export function letterBefore(
  letter: DeadLetterRecord | undefined,
  others: readonly DeadLetterRecord[],
): number | undefined {
  return letter?.holdsStream === true
    ? others.find(
        ({ stream, holdsStream, position }) =>
          holdsStream === true && stream === letter.stream && position < letter.position,
      )?.position
    : undefined
}

/** A letter is gone. `unblocks`: its stream may be free, so that whoever leads has to look again. */
export function withoutLetter({ holds, ...before }: StateRow, unblocks: boolean): StateRow {
  const letters = Math.max(0, before.letters - 1)
  return {
    ...before,
    ...(letters > 0 && holds === true && { holds }),
    letters,
    epoch: before.epoch + (unblocks ? 1 : 0),
  }
}

/** Begins a rebuild, or begins it again. */
export function rebuildStarted(before: StateRow): Transition {
  const { fault: _fault, rebuildFault: _rebuildFault, ...rest } = unsuspected(before)
  return {
    after: { ...rest, epoch: before.epoch + 1, rebuild: { position: 0, letters: 0 } },
    clear: [other(before.shown)],
  }
}

/** Why a run stopped, which lived through `survived`. A rebuild is given up by it, and the rows that were there before stay as they are. */
export function faulted(before: StateRow, from: StateRow, fault: StoredFault, survived?: number): Transition {
  // Somebody began a rebuild, or took over: this fault is of how things stood before.
  if (before.epoch !== from.epoch) return { after: before, clear: [] }
  const { rebuild, trying, ...rest } = before
  if (rebuild === undefined)
    return {
      after: { ...rest, ...(trying !== undefined && trying.position !== survived && { trying }), fault },
      clear: [],
    }
  return { after: { ...unsuspected(rest), epoch: before.epoch + 1, rebuildFault: fault }, clear: [other(before.shown)] }
}

/** What recording it came to. */
export const faultOutcome = (after: StateRow, fault: StoredFault): FaultOutcome =>
  after.fault === fault ? 'stopped' : after.rebuildFault === fault ? 'rebuild-given-up' : 'moved'

/** @throws InvalidArgumentError if the projection does not stand at that event (any more) */
export function skipped(before: StateRow, position: number): StateRow {
  const { fault, ...rest } = before
  if (fault?.position !== position || before.position >= position) {
    const stands = fault === undefined ? say`it has not stopped at an event` : say`it stopped at ${fault.position}`
    throw new InvalidArgumentError(
      'position',
      say`is ${position}, but the projection is at ${before.position} and ${stands}. Look at its status again.`,
    )
  }
  return {
    ...rest,
    position,
    epoch: before.epoch + 1,
    skipped: [...(before.skipped ?? []), position].slice(-maxSkipped),
  }
}

/** Somebody pauses or resumes. What stopped a projection is tried again when it resumes. */
export const pausedOrNot = (before: StateRow, paused: boolean): StateRow => ({
  ...(paused ? before : unsuspected(before)),
  paused,
})
