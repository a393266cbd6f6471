/** What the machine asks of its shell, and what it is resumed with. */
import type { EventUnreadableError } from '../errors.js'
import type { RecordedEvent } from '../events/event.js'
import type { ProjectionOccurrence } from './report.js'
import type { ProjectionState, ReadModelFailureStrategy } from './target.js'

/** What a read returns. */
export interface Page {
  readonly events: readonly RecordedEvent[]
  readonly unreadable?: readonly EventUnreadableError[]
  readonly scannedTo: number
  readonly head: number
  /** Characters of JSON that were read. */
  readonly characters?: number
  readonly now: number
}

type Outcome<T> = { readonly value: T } | { readonly error: unknown }

/**
 * Why the run waits. `'failed'`: the storage failed. `'retrying'`: an event failed. `'burst'`: more events are likely
 * to follow soon, and go into the same commit.
 */
export type Rest = 'idle' | 'paused' | 'failed' | 'retrying' | 'burst'

/** What the machine asks of its shell. */
export type Effect =
  | { readonly kind: 'load-checkpoint' }
  /** `most`: how many events to read where reading their rows is much work; 0: do not read their rows ahead. */
  | { readonly kind: 'read-events'; readonly after: number; readonly limit: number; readonly most: number }
  /** Apply events of the last page from an index on, until one fails, time is up, or `to` is reached. */
  | { readonly kind: 'apply'; readonly from: number; readonly to: number }
  | { readonly kind: 'decide'; readonly event: RecordedEvent; readonly error: unknown; readonly retryCount: number }
  | {
      readonly kind: 'park'
      readonly event: RecordedEvent
      readonly error: unknown
      readonly attempts: number
      readonly blocksStream: boolean
    }
  /** Store that this event is applied next, alone. */
  | { readonly kind: 'try'; readonly position: number }
  /** Store that it did not end this run. */
  | { readonly kind: 'survived' }
  /** `ends`: see `ProjectionState.unclean`. */
  | {
      readonly kind: 'commit'
      readonly position: number
      readonly caughtUp: boolean
      readonly events: number
      readonly ends?: number
    }
  /** Read what is stored, without taking over. */
  | { readonly kind: 'read-state' }
  /**
   * An abort and a control end every sleep early. An append ends `'idle'` and `'burst'`, a caller that waits for the
   * rows ends `'burst'`, and a call of the app ends `'failed'`.
   */
  | { readonly kind: 'sleep'; readonly ms: number; readonly why: Rest }
  | { readonly kind: 'report'; readonly occurrence: ProjectionOccurrence }
  /** Drop what is pending and not committed. */
  | { readonly kind: 'reset' }

/** What the machine is resumed with after each effect. */
export interface EffectResults {
  /**
   * `rebuilding`: a commit at the head shows readers the rows that are being built. `blocked`: streams whose events are
   * parked without being tried.
   */
  'load-checkpoint': Outcome<
    {
      readonly position: number
      readonly paused: boolean
      readonly rebuilding: boolean
      readonly now: number
      readonly blocked?: ReadonlySet<string> | undefined
    } & Pick<ProjectionState, 'unclean' | 'trying' | 'skipped' | 'carried'>
  >
  /** `moved`: it is not the state that this run left: a rebuild, a skip, a replay or another run changed it. */
  'read-state': { readonly paused: boolean; readonly moved: boolean; readonly now: number } | undefined
  'read-events': Outcome<Page> | 'aborted'
  /** `storage`: the handler did not fail, but a read that it asked for. `rows`: what is to be committed by then. */
  apply: {
    readonly next: number
    readonly rows?: number | undefined
    readonly failure?: { readonly error: unknown; readonly storage: boolean }
    readonly now: number
    readonly aborted: boolean
  }
  /** `error` is what the policy itself threw. */
  decide: { readonly strategy: ReadModelFailureStrategy; readonly error?: unknown }
  park: undefined
  try: Outcome<undefined>
  survived: undefined
  /** `burst`: more was appended during the commit, and no caller waits for the rows. */
  commit: Outcome<{ readonly paused: boolean; readonly now: number; readonly took: number; readonly burst: boolean }>
  /** What ended it: `'retry-now'` is a call of the app, `'on'` the time or a caller that waits for rows. */
  sleep: 'aborted' | 'control' | 'append' | 'retry-now' | 'on'
  report: undefined
  reset: undefined
}

/** The steps of a machine, which end with a result. */
export type Steps<T> = Generator<Effect, T, never>

/** Yields an effect, and returns its result. */
export function* perform<K extends Effect['kind']>(effect: Effect & { readonly kind: K }): Steps<EffectResults[K]> {
  return (yield effect) as EffectResults[K]
}

export const report = (occurrence: ProjectionOccurrence): Steps<undefined> => perform({ kind: 'report', occurrence })

export const sleep = (ms: number, why: Rest): Steps<EffectResults['sleep']> => perform({ kind: 'sleep', ms, why })
