/** What a store and its projections tell those who watch them. */
import type { StorageOccurrence } from './platform/healing.js'

/** The event that a report is about. */
export interface ReportedEvent {
  readonly position: number
  readonly eventId: string
  readonly eventType: string
  readonly stream: string
}

/** What happened, with the projection it belongs to. Positions are those of the log, durations are in ms. */
export type ProjectionReport = {
  /** The name of the projection. */
  readonly projection: string
  /** The wall clock, ms since the epoch. */
  readonly time: number
} & (
  | /** Another context leads; this one waits in line and watches its progress. */
    { readonly type: 'waiting' }
  /**
   * This context leads from here on: with the lock or, `withoutLock`, in parallel with a leader that made no progress.
   */
  | { readonly type: 'leading'; readonly withoutLock: boolean }
  /** The checkpoint was loaded. `rebuilding`: rows are built again, while readers see the old ones. */
  | { readonly type: 'loaded'; readonly position: number; readonly paused: boolean; readonly rebuilding: boolean }
  | {
      readonly type: 'read'
      readonly events: number
      readonly scannedTo: number
      readonly head: number
      readonly duration: number
    }
  /**
   * Rows, dead letters and checkpoint are stored. `events` counts those applied since the commit before;
   * `deadLetterCount` all that are kept, for read models.
   */
  | {
      readonly type: 'committed'
      readonly position: number
      readonly events: number
      readonly duration: number
      readonly deadLetterCount?: number
    }
  /** A handler threw; its policy is asked next. */
  | ({ readonly type: 'event-failed'; readonly error: unknown; readonly retryCount: number } & ReportedEvent)
  | ({
      readonly type: 'retrying'
      readonly error: unknown
      readonly retryCount: number
      readonly delay: number
    } & ReportedEvent)
  /**
   * Without an error and with 0 attempts: `skip()` left the event out before, and so does a rebuild. After `skip()` in
   * an earlier version: with the error, and without asking `onFailure`.
   */
  | ({ readonly type: 'skipped'; readonly error: unknown; readonly attempts: number } & ReportedEvent)
  | ({ readonly type: 'parked'; readonly error: unknown; readonly attempts: number } & ReportedEvent)
  /** Reading or storing failed and is tried again after `delay`. */
  | {
      readonly type: 'storage-failed'
      readonly what: 'loading' | 'reading' | 'storing'
      readonly error: unknown
      readonly failures: number
      readonly delay: number
    }
  /** Everything is done; the run waits for appends. */
  | { readonly type: 'idle'; readonly position: number }
  | { readonly type: 'paused' }
  /** Another runner moved the checkpoint or raised the epoch; the work since the last commit is dropped. */
  | { readonly type: 'leadership-lost'; readonly error: unknown }
  /** This context gave leadership up, because its page is hidden and another one is not, or because it goes away. */
  | { readonly type: 'handed-over'; readonly reason: 'hidden' | 'away' }
  /** A rebuild failed and was given up; the rows from before it stay. */
  | { readonly type: 'rebuild-failed'; readonly error: unknown }
  /** The projection stopped in this context (`startProjection`): nothing follows until `resume`, `skip` or `rebuild` is called. */
  | { readonly type: 'faulted'; readonly error: unknown }
  /** This context does not lead any more. */
  | { readonly type: 'resigned' }
  | StorageOccurrence
)

/** A report, before it is known which projection it is about. */
export type ProjectionOccurrence = ProjectionReport extends infer R
  ? R extends unknown
    ? Omit<R, 'projection' | 'time'>
    : never
  : never

/** When something began, and how long it took. */
export interface Measured {
  /**
   * ms on the time line of `performance.now()` of this context, as `performance.measure` takes it: compare it with other
   * times of this context only.
   */
  readonly start: number
  /** ms. 0 for what only happens. */
  readonly duration: number
}

/** What a store does itself. */
export type StoreOccurrence =
  | StorageOccurrence
  /** The store was opened, before it was observed: each listener gets this report first. */
  | { readonly type: 'opened'; readonly name: string }
  /** Events are stored; `duplicate`: they were there already. `duration` includes checks and the queue. */
  | {
      readonly type: 'appended'
      /** Of the last event, and of the first one. */
      readonly position: number
      readonly firstPosition: number
      readonly duplicate: boolean
      readonly events: number
      /** Of their data and meta, as JSON. */
      readonly characters: number
      readonly streams: readonly string[]
    }
  /** An append was refused, or failed. */
  | { readonly type: 'append-failed'; readonly error: unknown }
  /** A command ended. Its appends are reported as well. */
  | {
      readonly type: 'executed'
      readonly outcome: 'accepted' | 'refused'
      readonly events: number
      readonly attempts: number
    }
  | { readonly type: 'executed'; readonly outcome: 'failed'; readonly error: unknown }
  /** Rows were read, by a view or a live query. */
  | {
      readonly type: 'queried'
      readonly readModel: string
      /** Of each question, in order. */
      readonly tables: readonly string[]
      readonly rows: number
    }
  /** A page of the log was read, by a call or a loop of the app. */
  | { readonly type: 'read'; readonly events: number }
  /** Reading events or rows failed. */
  | { readonly type: 'storage-failed'; readonly what: 'reading' | 'querying'; readonly error: unknown }

/**
 * What `store.observe` tells: what the store does in this context, and the reports of its projections, which have a
 * `projection`.
 */
export type StoreReport = Measured &
  (
    | ProjectionReport
    | ({
        readonly projection?: undefined
        /** The wall clock, ms since the epoch. */
        readonly time: number
      } & StoreOccurrence)
  )
