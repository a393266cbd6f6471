/** What an app may know of a projection, and how it follows that. */
import type { StoredFault } from '../projection/target.js'

/** The state of a projection as this context knows it. A new object whenever something in it changed. */
export interface ProjectionStatus {
  /**
   * - `'starting'`: nothing is known yet
   * - `'standby'`: another context runs it, and this one takes over if that ends, unless it runs nothing
   * - `'catching-up'`, `'live'`: this context runs it, and is behind or at the head
   * - `'retrying'`: an event or the storage failed and is tried again; see `lastError`
   * - `'stalled'`: behind, and not moving for five seconds; see `message`
   * - `'not-running'`: behind for five seconds, and no context runs it. Rows can be read all the same
   * - `'paused'`: by `pause()`, in any context; stored
   * - `'faulted'`: stopped until `resume`, `skip` or `rebuild` is called; see `lastError`. Where only others run it: the
   *   last run stopped, and none has begun since
   * - `'stopped'`: by `stop()` or the signal, in this context
   */
  readonly phase:
    | 'starting'
    | 'standby'
    | 'catching-up'
    | 'live'
    | 'retrying'
    | 'stalled'
    | 'not-running'
    | 'paused'
    | 'faulted'
    | 'stopped'
  /** Why it does not move, or why the last rebuild was given up, in words; absent otherwise. */
  readonly message?: string
  /** Every event up to this position is in the rows that readers see. */
  readonly position: number
  /** The end of the log, as far as is known. */
  readonly head: number
  /** `head - position`. */
  readonly behind: number
  /** Events per second over the last seconds; 0 when live. */
  readonly rate: number
  /** This context runs it. */
  readonly leader: boolean
  /** The run that took over last, in any context; empty if it is not known. */
  readonly owner: string
  /** How many dead letters are kept. */
  readonly deadLetterCount: number
  /** A rebuild is under way, and has come to this position. Absent otherwise. */
  readonly rebuilding?: { readonly position: number }
  /**
   * Why the last rebuild was given up, until another one begins; the rows from before it stayed. `message` and
   * `lastError` say so too, unless something else is to be said.
   */
  readonly rebuildFault?: StoredFault
  /** The last failure of an event or of the storage, until the projection moves on; that of a rebuild, see there. */
  readonly lastError?: unknown
  /**
   * Why everything that this site stored is in danger, and what to do, in words; absent while it is not. See
   * `StorageReport`.
   */
  readonly atRisk?: string
}

/**
 * A value that changes, for `useSyncExternalStore` or any other way to follow it. Each method works detached.
 *
 * @example
 * const { phase, behind } = useSyncExternalStore(projection.status.subscribe, projection.status.getSnapshot, projection.status.getServerSnapshot)
 */
export interface StatusStore<S> {
  /** The value now: the same object as long as nothing in it changed. */
  getSnapshot(): S
  /**
   * For rendering on a server, and for the first render over its HTML: always the same value, in which nothing is known
   * yet.
   */
  getServerSnapshot(): S
  /** Calls back after every change. Returns how to stop that. */
  subscribe(listener: () => void): () => void
}
