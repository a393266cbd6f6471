/** What a case is made of. Everything here runs in the browser. */

/** One run of one contender: how long the work took, and how much of it there was. */
export interface Run {
  /** Only what a user would wait for: opening, filling and checking are outside. Of many waits, the median. */
  readonly ms: number
  readonly events: number
  /** Each wait of a run that is made of many, in ms. */
  readonly waits?: readonly number[]
  /** What was counted for each wait, by name: of many, the median. */
  readonly counts?: Readonly<Record<string, number>>
  readonly mainThread?: MainThread
  /** MiB that what ran still holds of the JavaScript heap. */
  readonly heap?: number
}

/** What a user would feel of a run; in ms. */
export interface MainThread {
  /** Tasks of over 50 ms. */
  readonly longTasks: readonly number[]
  readonly inputDelays: readonly number[]
}

/** One way to do the work of a case: tidemark, or IndexedDB by hand. */
export interface Contender {
  /** Unique within its case. */
  readonly name: string
  /**
   * Does the work once and checks it.
   *
   * @throws Error if the work is not there afterwards, so that no figure stands for work that was not done
   */
  run(): Promise<Run>
}

/** Contenders that do the same work; they take turns in each round. */
export interface Case {
  readonly name: string
  /** How many times slower the processor is made during each run, and the driver types meanwhile. @default as it is, and no typing */
  readonly throttle?: number
  /** Counts alone are of interest, and a run takes long: one run of each contender is kept, and none discarded. */
  readonly once?: boolean
  /** Makes what every run needs, such as a log to read. Outside the clock. */
  setUp?(): Promise<void>
  readonly contenders: readonly Contender[]
  tearDown?(): Promise<void>
}

/** How much work the cases do. */
export interface Sizes {
  /** Appends of one event. */
  readonly single: number
  /** Commits of 100 events. */
  readonly batches: number
  /** Events of the one large commit. */
  readonly bulk: number
  /** Events of the log that is read and projected, in full records. */
  readonly log: number
  /** Events of the log that came in commits of one. */
  readonly smallCommits: number
  /** Events that are projected with a transaction each. */
  readonly naive: number
  /** Events of the log to which single events are added, and of the one that is appended and projected together. */
  readonly modelled: number
  /** Single events of a run that are each waited for. */
  readonly waits: number
  /** Changes of a run that live queries show. */
  readonly liveWaits: number
  /** Logs that new browser processes open, in events; for the driver. */
  readonly coldOpen: readonly number[]
  /** Logs of growing length, in events. */
  readonly scale: readonly number[]
  /** How much slower the processor is made where smoothness is measured; 1 leaves that out. */
  readonly throttle: number
  /** Events of the log that a new device fetches. */
  readonly pulled: number
  /** The same with other libraries, the slowest of which takes long. */
  readonly pulledByPeers: number
  /** The same for a longer log, which takes two page loads; 0 leaves that out. */
  readonly pulledAtOnce: number
  /** Commits of a local store that is adopted; 0: not measured. */
  readonly adopted: number
  /** Rows of a run that are each waited for on another device. */
  readonly remoteWaits: number
  /** Events that a device sends after it was offline. */
  readonly drained: number
  /** The most events that are pending when a view is opened. */
  readonly pending: number
  /** Whether compaction is measured. */
  readonly compaction: boolean
}

declare global {
  /** Set by the driver while it takes a CPU profile, so that the profile holds what the clock holds. */
  var profiling: ((on: boolean) => Promise<void>) | undefined
  /** Set while requests are counted. */
  var counting: ((on: boolean) => void) | undefined
}

/** Runs `work` under the clock. */
export async function timed(events: number, work: () => Promise<unknown>): Promise<Run> {
  await globalThis.profiling?.(true)
  globalThis.counting?.(true)
  const start = performance.now()
  await work()
  const ms = performance.now() - start
  globalThis.counting?.(false)
  await globalThis.profiling?.(false)
  return { ms, events }
}

/** Runs `work` `count` times, each under a clock of its own; `between` is outside of it. */
export async function timedEach(
  count: number,
  work: (n: number) => Promise<unknown>,
  between?: () => Promise<unknown>,
): Promise<Run> {
  const waits: number[] = []
  // What is asked for after a wait belongs to it as well.
  globalThis.counting?.(true)
  for (let n = 0; n < count; n += 1) {
    waits.push((await timed(1, () => work(n))).ms)
    await between?.()
  }
  globalThis.counting?.(false)
  return { ms: [...waits].sort((a, b) => a - b)[Math.floor(count / 2)] as number, events: 1, waits }
}
