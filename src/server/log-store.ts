/** Where a server keeps one log and its refusals: the port that every backend of a server implements. */
import type { FinalVerdict } from '../wire/protocol.js'

/** An event as the log of a server holds it. */
export interface LoggedEvent {
  readonly position: number
  readonly id: string
  readonly stream: string
  readonly type: string
  readonly version: number
  /** The whole event as it is pulled, one line of JSON without the line feed. */
  readonly line: string
}

/** The last event of a stream, without what it says. */
export type LastEvent = Pick<LoggedEvent, 'position' | 'id' | 'stream' | 'version'>

/** Events that were stored together. */
export interface LoggedCommit {
  readonly author: string
  /**
   * When it was stored, ms since 1970: only of a commit that is added to a log it moves to, and for stores that keep it.
   * @default when it is added
   */
  readonly recorded?: number
  /** In order, without holes. The position of the first one names the commit. */
  readonly events: readonly LoggedEvent[]
  /** The chain behind this commit. */
  readonly chain: string
}

/** The log while something is decided: no other decision is made meanwhile. */
export interface LogDecision {
  /** That of {@link LogStore.identity} while this is decided: a request that was made under another one is not looked at. */
  readonly epoch: string
  readonly head: number
  /** The chain of the head. */
  readonly chain: string
  /** Events by their ids. What was added in this decision counts. */
  find(ids: readonly string[]): Promise<ReadonlyMap<string, LoggedEvent>>
  /** The last events of streams, by stream. */
  last(streams: readonly string[]): Promise<ReadonlyMap<string, LastEvent>>
  /** The final verdicts on commits of an author that had one of these ids, by id. */
  verdicts(author: string, ids: readonly string[]): Promise<ReadonlyMap<string, FinalVerdict>>
  /** The events behind a position, in order. */
  after(position: number): AsyncIterable<LoggedEvent>
  /** Adds a commit that begins at `head + 1`. */
  add(commit: LoggedCommit): Promise<void>
  /** Keeps a final verdict under each of these ids, for at least 90 days. */
  keep(author: string, ids: readonly string[], verdict: FinalVerdict): Promise<void>
}

/** What a decision will ask for. */
export interface DecisionQuestions {
  readonly author: string
  readonly ids: readonly string[]
  readonly streams: readonly string[]
}

/** The log of a server and the refusals that belong to it. */
export interface LogStore {
  /**
   * The id of the log, which never changes, and its epoch: a new one whenever the store may have forgotten what it said
   * before, such as each time that a file is opened, since it may be a backup.
   */
  identity(): Promise<{ readonly log: string; readonly epoch: string }>
  /** The position of the last event that is stored for good. */
  head(): Promise<number>
  /** The chain behind a position: that of 0 is `chainStart`; `undefined` where no commit ends, or above the head. */
  chainAt(position: number): Promise<string | undefined>
  /** Whole commits behind a position where one ends, in order: at least one, if there is one, and then `limit` events at most. */
  read(after: number, limit: number): Promise<readonly LoggedCommit[]>
  /**
   * Decides and stores, as one atomic act: decisions exclude each other per log, also between processes where the
   * backend allows several; what is added and kept is there for good when the promise resolves, and none of it is if it
   * rejects.
   *
   * @param asks what `work` will ask for, as far as it is known: a store may look it up together with that of other
   *   decisions, or ignore it. With it, a store may decide without a lock, and call `work` once more if the log has
   *   changed meanwhile: only the last call counts
   */
  decide<T>(work: (log: LogDecision) => Promise<T>, asks?: DecisionQuestions): Promise<T>
  /**
   * As `decide`, for work that adds nothing, and whose result is only what was true a moment ago: it need not wait for
   * decisions, nor exclude them.
   *
   * @default `decide`
   */
  peek?<T>(work: (log: LogDecision) => Promise<T>, asks?: DecisionQuestions): Promise<T>
  /** Calls back when the head may have moved. A hint: calls may be lost, delayed or doubled. */
  subscribe(listener: (head: number) => void): () => void
  close(): Promise<void>
}
