/** The wire protocol, version 1, as device and server know it: docs/protocol.md says what it means. */

/** What `Tidemark-Sync` says. */
export const protocolVersion = 1

/** Request and response headers. Names of headers do not depend on their case. */
export const headers = { version: 'Tidemark-Sync', log: 'Tidemark-Log', author: 'Tidemark-Author' } as const

/** An author as a header carries it: percent-encoded, since headers take few characters. */
export const authorHeader = (author: string): string => encodeURIComponent(author)

/** Log and epoch as a header carries them. */
export const logHeader = (log: string, epoch: string): string => `${log}/${epoch}`

/** Of a body of events, one line each. */
export const linesType = 'application/x-ndjson'

/** The chain of an empty log. */
export const chainStart = '0'.repeat(32)

/** The least that a server takes. A synced store holds its own appends to the first three. */
export interface SyncLimits {
  /** Characters of JSON of one event's `data` and `meta`. */
  readonly eventBytes: number
  /** Events of one commit. */
  readonly commitEvents: number
  /** Bytes of one commit on the wire. */
  readonly commitBytes: number
  /** Bytes of one push. */
  readonly pushBytes: number
}

export const leastLimits: SyncLimits = {
  eventBytes: 262_144,
  commitEvents: 1000,
  commitBytes: 1_048_576,
  pushBytes: 4_194_304,
}

/** How deep the data of an event may be nested; the value itself is at depth 1. */
export const maxDepth = 100

/** The most entries of each of `expect`, `requires`, `condition.except`, `condition.failIfEventsMatch.types` and `cancel`. */
export const maxEntries = 1000

/** The most ids that the entries of `cancel` of one push have together: each is kept. */
export const maxCancelIds = 10_000

/**
 * The most ids and streams that the commits of one push name together, in `expect`, `requires` and `condition.except`: what
 * is behind that is not looked at, and sent again.
 */
export const maxNamed = 20_000

/** The most characters of the code and of the message of a refusal. A longer message is cut. */
export const maxRefusal = { code: 255, message: 1000 } as const

/** How far behind the head `condition.after` may be; one that is further back is `behind`. */
export const conditionReach = 10_000

/** `GET /info`. */
export interface LogInfo {
  /** The id of the log: never changes. */
  readonly log: string
  /** A new one whenever the server may have forgotten what it said before. */
  readonly epoch: string
  /** Who the server says this session is. */
  readonly author: string
  /** The position of the last event. */
  readonly head: number
  /** The first position that can be pulled. */
  readonly first: number
  readonly format: number
  readonly limits: SyncLimits
}

/** An event as it is pushed. */
export interface WireEvent {
  readonly stream: string
  readonly type: string
  /** @default 1 */
  readonly schema?: number
  readonly id: string
  /** When it was recorded, in ms since 1970, by the clock of its device. */
  readonly time: number
  readonly data: unknown
  readonly meta?: unknown
}

/** An event as it is pulled: one line. */
export interface WireLine extends WireEvent {
  readonly position: number
  /** The position of the first event of its commit. */
  readonly commit: number
  readonly version: number
}

/** Which events, as `EventFilter`. */
export interface WireFilter {
  readonly types?: readonly string[]
  readonly streamPrefix?: string
  readonly streamPattern?: string
}

/** A commit as it is pushed, named by the id of its first event. */
export interface WireCommit {
  readonly events: readonly WireEvent[]
  /**
   * By stream: the id and the version of its last event when this was decided, or the id alone, for whatever version;
   * `null`: there was no such stream.
   */
  readonly expect?: { readonly [stream: string]: readonly [id: string, version: number] | string | null }
  /** Refused if an event matches that comes after `after` (an id; `null`: anywhere), except those. */
  readonly condition?: {
    readonly failIfEventsMatch: WireFilter
    readonly after: string | null
    readonly except?: readonly string[]
  }
  /** Ids that must be in the log. */
  readonly requires?: readonly string[]
  /** It was confirmed before the server was restored from a backup. */
  readonly healed?: true
}

/** The body of `POST /push`. */
export interface PushBody {
  readonly commits: readonly WireCommit[]
  /** Only while a local store is adopted: the position before the first new event. */
  readonly at?: number
  /** All ids of commits that were sent and are not wanted any more. */
  readonly cancel?: readonly (readonly string[])[]
}

/** What is final is kept under the author and every id of the commit, and repeated. */
export type FinalVerdict =
  | { readonly conflict: { readonly stream: string; readonly last: string | null } | { readonly position: number } }
  | { readonly refused: { readonly code: string; readonly message: string } }
  | { readonly blocked: string }

/**
 * What becomes of a commit: final, or stored, or not decided yet because the log lacks the event of that id; its own id:
 * the owner's rules failed.
 */
export type Verdict = FinalVerdict | { readonly accepted: number } | { readonly behind: string }

/** What became of a commit, which is named by the id of its first event. */
export type CommitAnswer = { readonly id: string } & Verdict

/** The answer to `POST /push`: one answer for each commit that was looked at, in order, those of `cancel` last. */
export interface PushAnswer {
  readonly head: number
  readonly answers: readonly CommitAnswer[]
  /** The chain of the head: only after a push with `at`. */
  readonly chain?: string
}

/** The last line of a pull, which also comes after every 1,000 events or so, never inside a commit. */
export interface CursorLine {
  readonly scannedTo: number
  readonly chain: string
}

/** What is wrong with a request as a whole. docs/protocol.md has the status and the meaning of each. */
export type ProblemCode =
  | 'bad-request'
  | 'unauthorized'
  | 'forbidden'
  | 'not-found'
  | 'wrong-method'
  | 'too-slow'
  | 'diverged'
  | 'other-epoch'
  | 'other-log'
  | 'other-author'
  | 'moved'
  | 'before-first'
  | 'too-large'
  | 'wrong-type'
  | 'invalid-push'
  | 'newer-protocol'
  | 'too-many'
  | 'unavailable'

/** The body of an answer with a status of 400 and above. A server may have codes of its own. */
export interface WireProblem {
  readonly code: ProblemCode | (string & {})
  readonly message: string
}
