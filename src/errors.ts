/**
 * Every error that tidemark throws. Each has a stable `code` for programs and a `message` that says what to do;
 * an error of a write also says whether the write happened.
 *
 * Properties are declared and not defined, so that one which says nothing is absent, and not there as `undefined`.
 */
import { messageFor } from './messages.js'

/** Whether a failed write is in the store: `'unknown'` means that repeating it with the same event ids is safe (H17). */
export type WriteOutcome = 'not-written' | 'unknown'

/** The stable codes of {@link TidemarkError}. */
export type TidemarkErrorCode =
  | 'version-conflict'
  | 'condition-failed'
  | 'invalid-event'
  | 'invalid-name'
  | 'invalid-argument'
  | 'invalid-import'
  | 'event-unreadable'
  | 'poison-event'
  | 'stream-blocked'
  | 'log-inconsistent'
  | 'projection-failed'
  | 'definition-changed'
  | 'already-running'
  | 'leadership-lost'
  | 'caught-up-timeout'
  | 'query-timeout'
  | 'command-refused'
  | 'undeclared-stream'
  | 'too-many-streams'
  | 'storage-busy'
  | 'storage-full'
  | 'storage-lost'
  | 'storage-failed'
  | 'storage-unavailable'
  | 'storage-damaged'
  | 'unsupported-format'
  | 'closed'

/** What an error carries besides its message. */
export interface TidemarkErrorOptions {
  readonly cause?: unknown
  readonly outcome?: WriteOutcome | undefined
}

/** The base of every error that tidemark throws. */
export class TidemarkError extends Error {
  /** What went wrong, for programs. Never changes between releases. */
  declare readonly code: TidemarkErrorCode
  /** For a failed write: whether it happened. Absent for anything that is not a write. */
  declare readonly outcome?: WriteOutcome

  constructor(code: TidemarkErrorCode, message: string, options: TidemarkErrorOptions = {}) {
    super(messageFor(code, message), 'cause' in options ? { cause: options.cause } : undefined)
    // Not the name of the class, which a bundler makes shorter.
    this.name = `${code.replace(/(^|-)./g, (begin) => begin.slice(-1).toUpperCase())}Error`
    this.code = code
    if (options.outcome !== undefined) this.outcome = options.outcome
  }
}

/**
 * Whether an error has one of these codes. Classes cannot be asked where a page has two copies of this package, by whatever accident of
 * its bundle: an error of one is no instance of a class of the other.
 */
export function hasCode(error: unknown, ...codes: readonly TidemarkErrorCode[]): error is TidemarkError {
  return codes.includes((error as { code?: TidemarkErrorCode } | null | undefined)?.code as TidemarkErrorCode)
}

/** What an app threw may be anything. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** A version that an append expects of a stream. See `AppendOptions` and SPEC S2, S5, S6. */
export type ExpectedVersion = number | 'any' | 'no-stream' | 'stream-exists'

/** Somebody appended in between: the stream is not at the version that the append expected. Nothing was written. */
export class VersionConflictError extends TidemarkError {
  declare readonly stream: string
  declare readonly expected: ExpectedVersion
  /** The version the stream is at, 0 for one without events. */
  declare readonly actual: number

  constructor(conflict: { stream: string; expected: ExpectedVersion; actual: number }) {
    const { stream, expected, actual } = conflict
    const is = actual === 0 ? 'has no events' : `is at version ${actual}`
    const not =
      expected === 'no-stream'
        ? 'but was expected to be new'
        : expected === 'stream-exists'
          ? 'but was expected to exist'
          : `not at version ${expected}`
    super('version-conflict', `Stream '${stream}' ${is}, ${not}. Read it again and retry.`, { outcome: 'not-written' })
    this.stream = stream
    this.expected = expected
    this.actual = actual
  }
}

/** An event that matches the `condition` of its append was appended in between. Nothing was written. */
export class ConditionFailedError extends TidemarkError {
  /** Where the first such event stands. */
  declare readonly position: number

  constructor(position: number) {
    super(
      'condition-failed',
      `An event that the append's 'condition' forbids stands at position ${position}. Read again from there and decide anew.`,
      { outcome: 'not-written' },
    )
    this.position = position
  }
}

/** An event that cannot be stored, or does not fit its schema. Refused before any transaction; nothing was written. */
export class InvalidEventError extends TidemarkError {
  /** Where in the event the problem is, such as `events[2].data.when`. */
  declare readonly path: string
  /** The issues that a Standard Schema validator reported, if one did. */
  declare readonly issues?: readonly unknown[]

  constructor(path: string, problem: string, options: { cause?: unknown; issues?: readonly unknown[] } = {}) {
    super('invalid-event', `${path === '' ? 'The event' : path} ${problem}`, {
      outcome: 'not-written',
      ...('cause' in options ? { cause: options.cause } : {}),
    })
    this.path = path
    if (options.issues !== undefined) this.issues = options.issues
  }
}

/** A stream, store, projection, table or pattern name that is not allowed. Refused before any transaction. */
export class InvalidNameError extends TidemarkError {
  constructor(what: string, name: unknown, problem: string) {
    super('invalid-name', `${what} ${describe(name)} ${problem}`, { outcome: 'not-written' })
  }
}

/** An option or argument outside its range, such as a negative limit. Refused before anything was done. */
export class InvalidArgumentError extends TidemarkError {
  constructor(argument: string, problem: string) {
    super('invalid-argument', `${argument} ${problem}`, { outcome: 'not-written' })
  }
}

/** An export that is damaged, or does not follow what is in the log. Every whole commit before the line is stored; the whole can be imported afterwards. */
export class InvalidImportError extends TidemarkError {
  /** Of the source, from 1. */
  declare readonly line: number

  constructor(line: number, problem: string, options: { cause?: unknown } = {}) {
    super('invalid-import', `Line ${line} of the import ${problem}`, options)
    this.line = line
  }
}

/** A stored event that cannot be decoded or upcast. Projections stop before it, unless `onFailure` says otherwise (H16, N7). */
export class EventUnreadableError extends TidemarkError {
  declare readonly position: number
  /**
   * A newer build of the app wrote it, in a version of its type that this one does not know. Projections stop before it, whatever `onFailure`
   * says: a tab of the newer build goes on with it, and what an old tab sets aside would be missing there as well.
   */
  declare readonly newer?: true

  constructor(position: number, problem: string, cause?: unknown, newer = false) {
    super('event-unreadable', `The event at position ${position} cannot be read: ${problem}`, { cause })
    this.position = position
    if (newer) this.newer = true
  }
}

/**
 * An event whose handler seems to kill the page: runs that applied it, at last alone, ended without a word. It is not applied again, and
 * `onFailure` decides what becomes of it as of any other failure, but that `'retry'` counts as `'fatal'` (N19).
 */
export class PoisonEventError extends TidemarkError {
  declare readonly position: number

  constructor(position: number, runs: number) {
    super(
      'poison-event',
      `${runs} runs in a row ended without a word while they applied the event at position ${position} alone: its handler may never end, or take all memory. Mend it, then call resume() to try it again, or skip(${position}).`,
    )
    this.position = position
  }
}

/** Why an event was parked without being tried: letters of its stream wait that come before it (N22). */
export class StreamBlockedError extends TidemarkError {
  declare readonly stream: string

  constructor(stream: string) {
    super(
      'stream-blocked',
      `Waits for the dead letters of '${stream}' before it. Replay them in order, or discard them.`,
    )
    this.stream = stream
  }
}

/** The log contradicts itself: a hole in its positions, a record at none, or a checkpoint beyond its head (N36, N37). */
export class LogInconsistentError extends TidemarkError {
  declare readonly position: number

  constructor(position: number, problem: string, outcome?: WriteOutcome) {
    super('log-inconsistent', problem, { outcome })
    this.position = position
  }
}

/** A projection stopped for good: an event failed fatally, retries ran out, or reading failed too often. */
export class ProjectionError extends TidemarkError {
  declare readonly projector: string
  /** The position that failed, where an event did. */
  declare readonly position?: number
  declare readonly eventId?: string
  declare readonly eventType?: string
  declare readonly stream?: string
  /** How often it was tried, the first time included. */
  declare readonly attempts: number

  constructor(
    message: string,
    at: {
      projector: string
      attempts: number
      event?: { position: number; id: string; type: string; stream: string }
      position?: number
    },
    cause: unknown,
    code: 'projection-failed' | 'definition-changed' = 'projection-failed',
  ) {
    super(code, message, { cause })
    this.name = 'ProjectionError'
    this.projector = at.projector
    this.attempts = at.attempts
    const position = at.event?.position ?? at.position
    if (position !== undefined) this.position = position
    if (at.event !== undefined) {
      this.eventId = at.event.id
      this.eventType = at.event.type
      this.stream = at.event.stream
    }
  }
}

/** Another context leads this projection, or leadership could not be asked for. */
export class AlreadyRunningError extends TidemarkError {
  declare readonly projector: string

  constructor(projector: string, problem: string, cause?: unknown) {
    super(
      'already-running',
      `Projection '${projector}' cannot run here: ${problem}`,
      cause === undefined ? {} : { cause },
    )
    this.projector = projector
  }
}

/** Another runner moved the checkpoint or raised the epoch: this one's commit was refused, nothing of it is stored. */
export class LeadershipLostError extends TidemarkError {
  declare readonly projector: string

  constructor(projector: string, problem: string, cause?: unknown) {
    super('leadership-lost', `Projection '${projector}' was taken over: ${problem}`, {
      outcome: 'not-written',
      ...(cause === undefined ? {} : { cause }),
    })
    this.projector = projector
  }
}

/** `caughtUp` gave up waiting. */
export class CaughtUpTimeoutError extends TidemarkError {
  /** Where the projection stood. */
  declare readonly position: number
  /** Where the log stood. */
  declare readonly head: number

  constructor(wanted: number, position: number, head: number, timeout: number) {
    super(
      'caught-up-timeout',
      `The projection is at ${position} of ${head} and did not reach ${wanted} within ${timeout} ms. Look at its status for the reason.`,
    )
    this.position = position
    this.head = head
  }
}

/** A live query, or a live projection, did not settle in time. The run was given up and its late result is dropped; the query runs again. */
export class QueryTimeoutError extends TidemarkError {
  constructor(timeout: number) {
    super(
      'query-timeout',
      `The live query did not settle within ${timeout} ms and was given up. It runs again by itself; let its function await only what ends.`,
    )
  }
}

/** A command was refused by its own `decide`, where the caller asked for an exception. */
export class CommandRefusedError extends TidemarkError {
  declare readonly reason: unknown

  constructor(reason: unknown) {
    super('command-refused', `The command was refused: ${typeof reason === 'string' ? reason : describe(reason)}`, {
      outcome: 'not-written',
      cause: reason,
    })
    this.reason = reason
  }
}

/** A command decided an event for a stream that it did not read. Declare or discover the stream. */
export class UndeclaredStreamError extends TidemarkError {
  declare readonly stream: string

  constructor(stream: string) {
    super(
      'undeclared-stream',
      `The command decided an event for stream '${stream}', which it did not read. Name it in 'streams' or 'discover'.`,
      { outcome: 'not-written' },
    )
    this.stream = stream
  }
}

/** `discover` of a command named more than 1,000 streams besides those that the command declares: it may never end. */
export class TooManyStreamsError extends TidemarkError {
  constructor(most: number, command?: string) {
    super(
      'too-many-streams',
      `'discover'${command === undefined ? '' : ` of command '${command}'`} named more than ${most} streams. Does it name a new one each time? If all are needed, declare them in 'streams'.`,
      { outcome: 'not-written' },
    )
  }
}

/** The storage did not answer in time, often because another context is suspended inside a transaction (H8). */
export class StorageBusyError extends TidemarkError {
  constructor(message: string, options: TidemarkErrorOptions = {}) {
    super('storage-busy', message, options)
  }
}

/** No room left on the device or in the origin's quota. Nothing was written; free space and retry (H46). */
export class StorageFullError extends TidemarkError {
  constructor(message: string, options: TidemarkErrorOptions = {}) {
    super('storage-full', message, options)
  }
}

/** The store was deleted, cleared or replaced under this instance, which never works again (H31). Open it anew. */
export class StorageLostError extends TidemarkError {
  constructor(message: string, options: TidemarkErrorOptions = {}) {
    super('storage-lost', message, options)
  }
}

/**
 * There is no IndexedDB here, or it is forbidden: switched off, or the page has no origin of its own, such as a sandboxed
 * frame (H36). `tidemark/memory` works everywhere, if the data need not last; nothing falls back to it by itself.
 */
export class StorageUnavailableError extends TidemarkError {
  constructor(what: string, options: TidemarkErrorOptions = {}) {
    super(
      'storage-unavailable',
      `IndexedDB is not available here (${what}). Use 'tidemark/memory' if the data need not last.`,
      { outcome: 'not-written', ...options },
    )
  }
}

/**
 * The database is not as it was made: something of it is missing (H16, H43). It is left as it is, for whoever may still rescue
 * it. Where there is an export, `deleteEventStore` and then import that.
 */
export class StorageDamagedError extends TidemarkError {
  constructor(message: string, options: { cause?: unknown } = {}) {
    super('storage-damaged', message, { outcome: 'not-written', ...options })
  }
}

/** IndexedDB is failing for a reason that has no better class. `cause` is the browser's error. */
export class StorageFailedError extends TidemarkError {
  constructor(message: string, options: TidemarkErrorOptions = {}) {
    super('storage-failed', message, options)
  }
}

/** The store was written by a newer tidemark that this build must not touch. Reload the page (H41). */
export class UnsupportedFormatError extends TidemarkError {
  constructor(message: string) {
    super('unsupported-format', message, { outcome: 'not-written' })
  }
}

/** The store, view or projection was closed. */
export class ClosedError extends TidemarkError {
  constructor(what: string) {
    super('closed', `${what} is closed. Open it again.`, { outcome: 'not-written' })
  }
}

/** How a bad value looks in a message: short, and safe for any value. */
export function describe(value: unknown): string {
  if (typeof value === 'string') return `'${value.length > 60 ? `${value.slice(0, 60)}…` : value}'`
  if (value === null || typeof value === 'number' || typeof value === 'boolean' || value === undefined)
    return String(value)
  if (typeof value === 'object') return Array.isArray(value) ? 'an array' : 'an object'
  return `a ${typeof value}`
}
