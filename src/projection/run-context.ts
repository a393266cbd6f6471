/** What a run is given, and what its parts share. */
import type { EventShape } from '../events/event.js'
import type { EventReader } from '../log/event-store.js'
import type { OpenOptions } from '../platform/opening-tries.js'
import type { PageLifecycle } from '../platform/page-lifecycle.js'
import type { RunProgress } from './batching.js'
import type { Settings } from './config.js'
import type { ProjectionOccurrence } from './report.js'
import type { ProjectionState, ProjectionTarget } from './target.js'

/** What a runner needs of the world around it. */
export interface RunnerPorts<E extends EventShape> {
  readonly reader: EventReader<E>
  /** Wakes a sleeping run although nothing was appended: the projection was paused, resumed or rebuilt. */
  readonly onControl?: ((listener: () => void) => () => void) | undefined
  /**
   * Heads that other contexts report, true or not: the run reads the log itself, which saves a read of the head.
   * @default the reader's `subscribe`
   */
  readonly onHint?: ((listener: (head: number) => void) => () => void) | undefined
  /** Positions whose rows a caller waits for. */
  readonly onWanted?: ((listener: (position: number) => void) => () => void) | undefined
  /**
   * Rejects unless the storage can be used, after as many tries as the options say.
   * @default the storage is not known to fail
   */
  readonly reopen?: ((how: OpenOptions) => Promise<unknown>) | undefined
  /** The app calls: a run that waits after a failure of the storage tries again immediately. */
  readonly onRetryNow?: ((listener: () => void) => () => void) | undefined
  /**
   * The stored state that a look found not long ago, if that had come to the end of the log and nothing was appended
   * since, as far as it is known: a follower need not look itself then. @default nothing looks
   */
  readonly resting?: (() => ProjectionState | undefined) | undefined
  /** Heads that such a look found, where the projection was behind them. */
  readonly onBehind?: ((listener: (head: number) => void) => () => void) | undefined
  /** Of this page. */
  readonly lifecycle?: PageLifecycle | undefined
}

/** What the parts of one run share. */
export interface RunContext<E extends EventShape> {
  readonly target: ProjectionTarget<E>
  readonly ports: RunnerPorts<E>
  readonly settings: Settings
  /** Names the run in the stored state. */
  readonly owner: string
  readonly run: RunProgress
  /** Whether this run holds the lock. Another run may be alive if it does not. @default it does not */
  readonly holdsLock?: () => boolean
  readonly report: (occurrence: ProjectionOccurrence) => void
}
