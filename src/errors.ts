/**
 * Every error that tidemark throws. Each has a stable `code` for programs and a `message` that says what is wrong and
 * what to do. The message ends with the address of the page that explains the code. In the production build it has the
 * code and the values instead of sentences.
 *
 * Properties are declared and not defined, so that a property without a value is absent instead of being `undefined`.
 */
import { messageFor, say } from './messages.js'

/**
 * Whether a failed write is in the store. `'not-written'`: it is not. `'unknown'`: it may be, so append the same events
 * with the same ids again; what is stored already is not stored twice.
 */
export type WriteOutcome = 'not-written' | 'unknown'

/** The codes of {@link TidemarkError}. Each class of errors has one of them. */
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
  | 'unique-conflict'
  | 'log-inconsistent'
  | 'projection-failed'
  | 'definition-changed'
  | 'already-running'
  | 'coordination-failed'
  | 'leadership-lost'
  | 'caught-up-timeout'
  | 'query-timeout'
  | 'command-refused'
  | 'command-conflict'
  | 'undeclared-stream'
  | 'too-many-streams'
  | 'storage-busy'
  | 'storage-full'
  | 'storage-lost'
  | 'storage-failed'
  | 'storage-unavailable'
  | 'storage-damaged'
  | 'unsupported-format'
  | 'log-file-in-use'
  | 'log-file-damaged'
  | 'not-migrated'
  | 'database-refused'
  | 'no-such-log'
  | 'request-refused'
  | 'sync-refused'
  | 'closed'

/** What an error has in addition to its message. */
export interface TidemarkErrorOptions {
  /** What led to the error. Absent if nothing was thrown before. */
  readonly cause?: unknown
  /** For a failed write: whether it is in the store. Absent for errors of anything else. */
  readonly outcome?: WriteOutcome | undefined
}

/**
 * The base of every error that tidemark throws.
 *
 * ```ts
 * try {
 *   await store.append('basket-1', event, { expectedVersion: 3 })
 * } catch (error) {
 *   if (error instanceof TidemarkError && error.code === 'version-conflict') await decideAgain()
 * }
 * ```
 */
export class TidemarkError extends Error {
  /** What went wrong, for programs. Never changes between releases; the message may. */
  declare readonly code: TidemarkErrorCode
  /** For a failed write: whether it is in the store. Absent for errors of anything else. */
  declare readonly outcome?: WriteOutcome

  constructor(code: TidemarkErrorCode, message: string, options: TidemarkErrorOptions = {}) {
    super(messageFor(code, message), options.cause === undefined ? undefined : { cause: options.cause })
    // Not the name of the class, which a minifier shortens.
    this.name = `${code.replace(/(^|-)./g, (begin) => begin.slice(-1).toUpperCase())}Error`
    this.code = code
    if (options.outcome !== undefined) this.outcome = options.outcome
  }
}

/**
 * Whether an error has one of these codes. `instanceof` does not work if a page has two copies of this package: an
 * error of one copy is not an instance of a class of the other.
 */
export function hasCode(error: unknown, ...codes: readonly TidemarkErrorCode[]): error is TidemarkError {
  return codes.includes((error as { code?: TidemarkErrorCode } | null | undefined)?.code as TidemarkErrorCode)
}

/**
 * Whether the page runs an old build of the app, so that a reload, with the newest build, is what helps. Ask it of
 * whatever may say so: what a call rejects with, what `onError` is given, the status of an app, of a projection, or of
 * `app.sync`. It looks at the `cause` of an error too, and at every model of an app.
 *
 * True for
 * - `UnsupportedFormatError`, whatever its `reason`: a store that syncs now, or was adopted, is met as a local one only by
 *   code from before that;
 * - `EventUnreadableError` if it is `newer`;
 * - a status of syncing with the reason `'newer-protocol'` or `'newer-format'`.
 *
 * It cannot know whether there is a newer build to be had: after a release that was rolled back, a reload changes nothing.
 *
 * @example
 * const app = tidemark({ name: 'shop', events, models, onError: (error) => isOutdated(error) && offerReload() })
 */
export function isOutdated(problem: unknown): boolean {
  const all = new Set([problem])
  for (const each of all) {
    const { code, newer, reason, cause, error, lastError, models } = Object(each) as Record<string, unknown>
    if (code === 'unsupported-format' || (code === 'event-unreadable' && newer === true)) return true
    if (reason === 'newer-protocol' || reason === 'newer-format') return true
    for (const next of [cause, error, lastError, ...Object.values(Object(models))])
      if (Object(next) === next) all.add(next)
  }
  return false
}

/** The message of what an app threw, which need not be an error. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/**
 * The version that an append expects of a stream: the number of its events so far, or `'no-stream'` (without events),
 * `'stream-exists'` (with at least one), `'any'` (not checked).
 */
export type ExpectedVersion = number | 'any' | 'no-stream' | 'stream-exists'

/**
 * The stream is not at the version that the append expected, because another append came first. Nothing was written.
 */
export class VersionConflictError extends TidemarkError {
  declare readonly stream: string
  declare readonly expected: ExpectedVersion
  /** The version of the stream; 0 if it has no events. */
  declare readonly actual: number

  constructor(conflict: { stream: string; expected: ExpectedVersion; actual: number }) {
    const { stream, expected, actual } = conflict
    const found = actual === 0 ? say`${actual}, without events` : say`${actual}`
    const wanted = typeof expected === 'number' ? say`version ${expected}` : say`'${expected}'`
    super(
      'version-conflict',
      say`Stream '${stream}' is at version ${found}, but the append expected ${wanted}. Read the stream again and retry.`,
      { outcome: 'not-written' },
    )
    this.stream = stream
    this.expected = expected
    this.actual = actual
  }
}

/** An event that matches the `condition` of the append was appended before it. Nothing was written. */
export class ConditionFailedError extends TidemarkError {
  /** The position of the first such event. */
  declare readonly position: number

  constructor(position: number) {
    super(
      'condition-failed',
      say`The event at position ${position} matches the append's 'condition', which says that no such event may exist. Read again from there and decide again.`,
      { outcome: 'not-written' },
    )
    this.position = position
  }
}

/**
 * An event that cannot be stored, or does not fit its schema. It was refused before any transaction; nothing was
 * written.
 */
export class InvalidEventError extends TidemarkError {
  /** Where the problem is, such as `events[2].data.when`. */
  declare readonly path: string
  /** The issues that a Standard Schema validator reported, if one did. */
  declare readonly issues?: readonly unknown[]

  constructor(path: string, problem: string, options: { cause?: unknown; issues?: readonly unknown[] } = {}) {
    super('invalid-event', say`${path === '' ? say`The event` : path} ${problem}`, {
      outcome: 'not-written',
      cause: options.cause,
    })
    this.path = path
    if (options.issues !== undefined) this.issues = options.issues
  }
}

/** A stream, store, projection, table or pattern name that is not allowed. It was refused before any transaction. */
export class InvalidNameError extends TidemarkError {
  constructor(what: string, name: unknown, problem: string) {
    super('invalid-name', say`${what} ${describe(name)} ${problem}`, { outcome: 'not-written' })
  }
}

/**
 * An argument or option of the wrong type, or outside its range, such as a negative limit. It was refused before
 * anything was done.
 */
export class InvalidArgumentError extends TidemarkError {
  constructor(argument: string, problem: string) {
    super('invalid-argument', say`${argument} ${problem}`, { outcome: 'not-written' })
  }
}

/**
 * A line of an import that is damaged, or does not follow what is in the log. Every whole commit before the line is
 * stored. The same import can be repeated once it is fixed.
 */
export class InvalidImportError extends TidemarkError {
  /** The number of the line in the source, from 1. */
  declare readonly line: number

  constructor(line: number, problem: string, options: { cause?: unknown } = {}) {
    super('invalid-import', say`Line ${line} of the import ${problem}`, options)
    this.line = line
  }
}

/**
 * A stored event that cannot be decoded or upcast, or that a command must not decide over, because this build does not
 * know its type. Projections stop before an event that they cannot read, unless `onFailure` says otherwise.
 */
export class EventUnreadableError extends TidemarkError {
  declare readonly position: number
  /**
   * Present if a newer build of the app wrote the event, in a version of its type that this build does not know. For a
   * command also if the catalogue has definitions, and none for this type. And if a codec encoded its data, and this
   * build has none.
   *
   * Projections stop before it, whatever `onFailure` says, and a tab of the newer build continues: an old tab that
   * skipped the event would leave it out for all tabs.
   */
  declare readonly newer?: true

  constructor(position: number, problem: string, cause?: unknown, newer = false) {
    super('event-unreadable', say`The event at position ${position} cannot be read: ${problem}`, { cause })
    this.position = position
    if (newer) this.newer = true
  }
}

/**
 * An event whose handler crashed the page or worker several times in a row. It is not applied again. `onFailure`
 * decides as for any other failure, except that `'retry'` counts as `'fatal'`.
 */
export class PoisonEventError extends TidemarkError {
  declare readonly position: number

  constructor(position: number, runs: number) {
    super(
      'poison-event',
      say`The event at position ${position} crashed ${runs} runs in a row. Does its handler loop forever, or run out of memory? Fix the handler and call resume(), or call skip(${position}).`,
    )
    this.position = position
  }
}

/** An event was parked without being tried, because dead letters of its stream come before it. */
export class StreamBlockedError extends TidemarkError {
  declare readonly stream: string

  constructor(stream: string) {
    super(
      'stream-blocked',
      say`The event waits for earlier dead letters of stream '${stream}'. Replay them in order, or discard them.`,
    )
    this.stream = stream
  }
}

/**
 * What is stored contradicts itself, such as a log with missing positions, or a checkpoint beyond the end of the log.
 */
export class LogInconsistentError extends TidemarkError {
  declare readonly position: number

  constructor(position: number, problem: string, outcome?: WriteOutcome) {
    super('log-inconsistent', problem, { outcome })
    this.position = position
  }
}

/**
 * A projection stopped: an event failed for good, retries ran out, or the storage failed too often. `cause` is the
 * reason.
 */
export class ProjectionFailedError extends TidemarkError {
  /** The name of the projection or projector. */
  declare readonly projector: string
  /** The position of the event that failed, or where the projection stopped. */
  declare readonly position?: number
  declare readonly eventId?: string
  declare readonly eventType?: string
  declare readonly stream?: string
  /** How often it was tried, including the first time. */
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

/**
 * The definition of a projection is not the one that its rows were built with, or another definition of that name is in
 * use in this page or worker. Raise `version`, or rename one of the two.
 */
export class DefinitionChangedError extends ProjectionFailedError {
  constructor(projector: string, message: string) {
    super(message, { projector, attempts: 0 }, undefined, 'definition-changed')
  }
}

/**
 * An event left two rows of a table with the same key in a unique index. Nothing of the event is stored; the failure
 * policy of its projection decides what happens next.
 */
export class UniqueConflictError extends TidemarkError {
  declare readonly table: string
  declare readonly index: string
  /** What both rows have in the index. */
  declare readonly key: unknown
  /** The key of the row that the event wrote. */
  declare readonly row: unknown
  /** The key of the other row. */
  declare readonly heldBy: unknown

  constructor(table: string, index: string, key: unknown, row: unknown, heldBy: unknown) {
    super(
      'unique-conflict',
      say`Two rows of '${table}' would have ${describeKey(key)} in the unique index '${index}': ${describeKey(row)} and ${describeKey(heldBy)}.`,
    )
    this.table = table
    this.index = index
    this.key = key
    this.row = row
    this.heldBy = heldBy
  }
}

/**
 * Another context runs this projection, and `leadership` is `'try'`; or another app of `tidemark()` with the same name
 * runs another definition of it in this context.
 */
export class AlreadyRunningError extends TidemarkError {
  declare readonly projector: string

  constructor(projector: string, message?: string) {
    super(
      'already-running',
      message ??
        say`Projection '${projector}' is run by another tab or worker. Use leadership: 'wait', or try again later.`,
    )
    this.projector = projector
  }
}

/** The coordinator could not decide which context runs this projection. `cause` is what it threw. */
export class CoordinationFailedError extends TidemarkError {
  declare readonly projector: string

  constructor(projector: string, cause: unknown) {
    super(
      'coordination-failed',
      say`Projection '${projector}' cannot run here, because its coordinator failed: ${messageOf(cause)}`,
      { cause },
    )
    this.projector = projector
  }
}

/** Another context took over the projection. The commit of this one was refused; nothing of it is stored. */
export class LeadershipLostError extends TidemarkError {
  declare readonly projector: string

  constructor(projector: string, problem: string, cause?: unknown) {
    super('leadership-lost', say`Projection '${projector}' was taken over: ${problem}`, {
      outcome: 'not-written',
      cause,
    })
    this.projector = projector
  }
}

/** `caughtUp` did not reach its position in time. */
export class CaughtUpTimeoutError extends TidemarkError {
  /** The position of the projection. */
  declare readonly position: number
  /** The position of the last event in the log. */
  declare readonly head: number

  constructor(wanted: number, position: number, head: number, timeout: number) {
    super(
      'caught-up-timeout',
      say`The projection is at position ${position} of ${head} and did not reach ${wanted} within ${timeout} ms. Its status has the reason.`,
    )
    this.position = position
    this.head = head
  }
}

/** A live query or live projection did not settle in time. Its late result is ignored, and the query runs again. */
export class QueryTimeoutError extends TidemarkError {
  constructor(timeout: number) {
    super(
      'query-timeout',
      say`The live query did not settle within ${timeout} ms. It runs again by itself. Does its function await something that never ends?`,
    )
  }
}

/** The `decide` of a command refused it, and the caller asked for an exception. Nothing was written. */
export class CommandRefusedError extends TidemarkError {
  /** What `decide` gave to `refuse` or `ensure`. */
  declare readonly reason: unknown

  constructor(reason: unknown) {
    super('command-refused', say`The command was refused: ${typeof reason === 'string' ? reason : describe(reason)}`, {
      outcome: 'not-written',
      cause: reason,
    })
    this.reason = reason
  }
}

/** Every attempt of a command met a conflict. Nothing was written. `cause` is the last conflict. */
export class CommandConflictError extends TidemarkError {
  /** The stream of the last conflict. */
  declare readonly stream: string
  declare readonly expected: ExpectedVersion
  /** The version of the stream; 0 if it has no events. */
  declare readonly actual: number
  /** The first attempt and its retries. */
  declare readonly attempts: number
  /** The streams that the last attempt read. */
  declare readonly streams: readonly string[]

  constructor(last: VersionConflictError, attempts: number, streams: readonly string[], command?: string) {
    const retries = attempts - 1
    const whose = command === undefined ? '' : say` of command '${command}'`
    super(
      'command-conflict',
      say`Concurrency conflict${whose} after ${retries} retry ${retries === 1 ? say`attempt` : say`attempts`}: ${last.message}`,
      { cause: last, outcome: 'not-written' },
    )
    this.stream = last.stream
    this.expected = last.expected
    this.actual = last.actual
    this.attempts = attempts
    this.streams = streams
  }
}

/** A command decided an event for a stream that it did not read. Nothing was written. */
export class UndeclaredStreamError extends TidemarkError {
  declare readonly stream: string

  constructor(stream: string) {
    super(
      'undeclared-stream',
      say`The command decided an event for stream '${stream}', which it did not read. Name the stream in 'streams' or 'discover'.`,
      { outcome: 'not-written' },
    )
    this.stream = stream
  }
}

/**
 * The `discover` of a command named more than 1,000 streams in addition to those in its `streams`. Nothing was written.
 */
export class TooManyStreamsError extends TidemarkError {
  constructor(most: number, command?: string) {
    super(
      'too-many-streams',
      say`'discover'${command === undefined ? '' : say` of command '${command}'`} named more than ${most} streams. Does it name a new one each time? If the command needs all of them, declare them in 'streams'.`,
      { outcome: 'not-written' },
    )
  }
}

/** The storage did not respond in time, often because another tab was suspended while it held a transaction open. */
export class StorageBusyError extends TidemarkError {
  constructor(message: string, options: TidemarkErrorOptions = {}) {
    super('storage-busy', message, options)
  }
}

/** No space is left on the device or in the site's quota. Nothing was written; free space and retry. */
export class StorageFullError extends TidemarkError {
  constructor(message: string, options: TidemarkErrorOptions = {}) {
    super('storage-full', message, options)
  }
}

/**
 * The store was deleted, cleared or replaced while this instance had it open. The instance does not work any more; open
 * the store again.
 */
export class StorageLostError extends TidemarkError {
  constructor(message: string, options: TidemarkErrorOptions = {}) {
    super('storage-lost', message, options)
  }
}

/**
 * IndexedDB is missing or forbidden here: it is switched off, or the page has no origin of its own, such as a sandboxed
 * frame. `tidemark/memory` works everywhere, for data that need not last; tidemark does not switch to it by itself.
 */
export class StorageUnavailableError extends TidemarkError {
  constructor(what: string, options: TidemarkErrorOptions = {}) {
    super(
      'storage-unavailable',
      say`IndexedDB is not available here (${what}). Use 'tidemark/memory' if the data need not last.`,
      { outcome: 'not-written', ...options },
    )
  }
}

/**
 * A part of the database is missing or damaged. The database is left as it is, so that its data can still be rescued.
 * If there is an export, call `deleteEventStore` and import the export.
 */
export class StorageDamagedError extends TidemarkError {
  constructor(message: string, options: { cause?: unknown } = {}) {
    super('storage-damaged', message, { outcome: 'not-written', ...options })
  }
}

/** IndexedDB failed for a reason that has no class of its own. `cause` is the browser's error. */
export class StorageFailedError extends TidemarkError {
  constructor(message: string, options: TidemarkErrorOptions = {}) {
    super('storage-failed', message, options)
  }
}

/**
 * Why a build must not touch a store:
 * - `'newer'`: a newer version of the app, or of tidemark, wrote it, or an export, in a format that this one does not know
 * - `'synced'`: it is a synced store, and `openEventStore` was to open it: `openSyncedStore` of `tidemark/sync` does
 * - `'adopted'`: a synced store took it over (`adoptStore`), so nothing is appended to it any more
 */
export type UnsupportedFormatReason = 'newer' | 'synced' | 'adopted'

/**
 * This build must not touch the store, or not append to it. Nothing was touched. `reason` says why: most often a newer
 * build of the app is the one that may, so reload the page. See {@link isOutdated}.
 */
export class UnsupportedFormatError extends TidemarkError {
  declare readonly reason: UnsupportedFormatReason

  constructor(message: string, reason: UnsupportedFormatReason = 'newer') {
    super('unsupported-format', message, { outcome: 'not-written' })
    this.reason = reason
  }
}

/** The store, view or projection is closed. */
export class ClosedError extends TidemarkError {
  /** `outcome`: unknown to who waited for what becomes of a commit that is stored on this device. */
  constructor(what: string, outcome: WriteOutcome = 'not-written') {
    super('closed', say`${what} is closed. Open it again.`, { outcome })
  }
}

/** A key in a message. */
export const describeKey = (key: unknown): string =>
  Array.isArray(key) ? `[${key.map(describeKey).join(', ')}]` : key instanceof Date ? key.toJSON() : describe(key)

/** A bad value in a message: short, and safe for any value. */
export function describe(value: unknown): string {
  if (typeof value === 'string') return `'${value.replace(/^(.{60}).+/su, '$1…')}'`
  if (value === null || typeof value === 'number' || typeof value === 'boolean' || value === undefined)
    return String(value)
  if (typeof value === 'object') return Array.isArray(value) ? 'an array' : 'an object'
  return `a ${typeof value}`
}
