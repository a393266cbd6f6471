/** What a run tells while it works: for status, logs, metrics and tracing. */
import type { RecordedEvent } from '../events/event.js'
import type { StorageOccurrence } from '../platform/healing.js'

/** The event that a report is about. */
export interface ReportedEvent {
  readonly position: number
  readonly eventId: string
  readonly eventType: string
  readonly stream: string
}

/** What happened. Positions are those of the log, durations are in ms. */
export type ProjectionOccurrence =
  /** Another context leads; this one waits its turn and watches its progress. */
  | { readonly type: 'waiting' }
  /** This context leads from here on, by the lock or, `withoutLock`, beside a holder that made no progress. */
  | { readonly type: 'leading'; readonly withoutLock: boolean }
  /** The checkpoint was loaded. `rebuilding` says that rows are built anew behind those that readers see. */
  | { readonly type: 'loaded'; readonly position: number; readonly paused: boolean; readonly rebuilding: boolean }
  | {
      readonly type: 'read'
      readonly events: number
      readonly scannedTo: number
      readonly head: number
      readonly duration: number
    }
  /** Rows, letters and checkpoint are stored. `events` counts those applied since the commit before; `letters` those that wait, for read models. */
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
  /** Without an error and with 0 attempts: `skip()` left it out once, and a rebuild came by it. After `skip()` in an earlier version: with the error, and without asking `onFailure`. */
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
  /** Everything is done; waits for appends. */
  | { readonly type: 'idle'; readonly position: number }
  | { readonly type: 'paused' }
  /** Another runner moved the checkpoint or raised the epoch; the work since the last commit is dropped. */
  | { readonly type: 'leadership-lost'; readonly error: unknown }
  /** Given up of one's own accord, because the page is hidden and another one is not, or is going away. */
  | { readonly type: 'handed-over'; readonly reason: 'hidden' | 'away' }
  /** A rebuild failed and was given up; the rows that were there before it stay. */
  | { readonly type: 'rebuild-failed'; readonly error: unknown }
  /** This context does not lead any more. */
  | { readonly type: 'resigned' }
  | StorageOccurrence

/** An occurrence, with the projection it belongs to. */
export type ProjectionReport = ProjectionOccurrence & {
  /** The projector's name. */
  readonly projection: string
  /** The wall clock, ms since the epoch. */
  readonly time: number
}

/** The part of a report that names an event. */
export const reportedEvent = (event: RecordedEvent): ReportedEvent => ({
  position: event.position,
  eventId: event.id,
  eventType: event.type,
  stream: event.stream,
})
