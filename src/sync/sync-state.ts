/** What a synced store keeps next to its log: its rows, and what they mean. */
import type { EventFilter } from '../log/event-store.js'
import type { EventText } from '../log/record/record-text.js'
import type { CommitRefusal } from './sync-refused.js'

/** Where a device is in the log of the server: what the last cursor line said. */
export interface Cursor {
  readonly at: number
  readonly chain: string
}

/** An identity that the log had before. */
export interface LeftIdentity {
  readonly identity: string
  /** To where it is the same as what came after it. */
  readonly upTo: number
  /** The age of the store when it was first looked at. */
  readonly lived?: number
  /** What was taken back with it is gone. */
  readonly isGone?: true
}

/** How long a store was here: not by the clock alone, which may jump by years. */
export interface Age {
  /** Wall clock, ms. */
  readonly at: number
  /** In ms. */
  readonly lived: number
  /** Of the log that the marks are of. */
  readonly identity: string
  /** Where the log ended, day by day. */
  readonly marks: readonly { readonly lived: number; readonly at: number }[]
}

/** The row of the object store `sync`. */
export interface SyncState {
  readonly key: 'state'
  /** Of it, and of the rows of `own` and `attic`, where that is not 1. */
  readonly format?: number
  /** The log that this store is a replica of; unknown before the first contact. */
  readonly remote?: { readonly log: string; readonly epoch: string; readonly author: string }
  /** Whose store it is, where `remote` was forgotten by `resync()`. */
  readonly author?: string
  /** Whether something was pulled under this epoch: nothing is pushed before. */
  readonly isFresh: boolean
  readonly cursor: Cursor
  /** The head of the server, as far as it is known. */
  readonly head: number
  /** Earlier cursors, the newest last, 64 at most: where a restored server is compared from. */
  readonly marks: readonly Cursor[]
  /** The largest `n` that was ever used. */
  readonly largestN: number
  /** Commits up to this `n` may have left this device. */
  readonly sentTo: number
  /** Counts every change of `sync` and `outbox` but appends, which the largest `n` shows. */
  readonly turn: number
  /** The identity of the log on this device: a new one whenever its tail was taken back. */
  readonly identity: string
  /** Identities before it, oldest first, and up to where each is the same as what came after it. */
  readonly left: readonly LeftIdentity[]
  /** How long this store was here when it was last looked for what is old; none before the first time. */
  readonly age?: Age
  /** By `pause()`, in any context: nothing is asked of the server. */
  readonly paused?: true
  /** The names of the last commits that wanted no events when they were decided again: confirmed, and in no log. */
  readonly nothing?: readonly string[]
  /**
   * Local logs that are adopted, how far that has come, and where they ended then. Those that are complete stay: nothing
   * is adopted twice.
   */
  readonly adopting?: readonly { readonly log: string; readonly upTo: number; readonly head?: number }[]
}

/** What an append's condition was decided on. */
export interface OutboxCondition {
  readonly failIfEventsMatch: EventFilter
  /** The id of the confirmed event up to which this device has looked itself; `null`: the log was empty. */
  readonly after: string | null
  /** The position of that event: the confirmed head at the time. 0 for `null`. */
  readonly at: number
  /** Own pending events that match. */
  readonly except: readonly string[]
}

/** A commit of this device that is not in the log, by `n`: pending, or refused. */
export interface OutboxRow {
  /** Of the row, where that is not 1. */
  readonly format?: number
  /** Its place: the order in the outbox. Goes nowhere else. Healed commits have numbers below zero. */
  readonly n: number
  /** It was appended while this device was in contact: it may leave it as soon as it is stored, as those up to `sentTo`. */
  readonly leaves?: true
  /** The name of the commit: the id of its first event as first appended. Stays when it is decided again. */
  readonly name: string
  readonly time: number
  readonly events: readonly EventText[]
  /**
   * By stream: the id of its last event as decided on, own pending ones included, and its version; `null`: no such stream.
   * The version tells what the id does not: whether others came to stand before it since.
   */
  readonly expect: readonly (readonly [stream: string, id: string | null, version?: number])[]
  readonly condition?: OutboxCondition
  readonly requires?: readonly string[]
  /** What made it, so that it can be decided again. `args` is JSON, as the codec wrote it. */
  readonly command?: { readonly name: string; readonly args: string }
  /** To how many versions of it the server said no. */
  readonly tries?: number
  /** Ids that earlier versions of it had. */
  readonly had?: readonly string[]
  /** The server said that it is at this position; confirmed once it is pulled. */
  readonly accepted?: number
  /** The server's final no to this version; it waits to be decided again. */
  readonly undecided?: Pick<CommitRefusal, 'stream' | 'position' | 'id'> & { readonly code: 'conflict' | 'blocked' }
  /** The event that the server lacks. */
  readonly behind?: string
  /** The app does not want it any more, and the server may have it: no view shows it. */
  readonly cancel?: true
  /** `retry()` of a commit that is `behind`: it is cancelled at the server first, then sent with these ids. */
  readonly renew?: readonly string[]
  /** What a codec made of its data for those ids. */
  readonly renewData?: readonly string[]
  /** It was confirmed before the server was restored. */
  readonly healed?: true
  /** By identity: the position of its first event there. */
  readonly was?: { readonly [identity: string]: number }
  /** Final: kept for the app. */
  readonly refused?: CommitRefusal
}

/** Own commits in the log, by the position of the first event. Neighbours without needs are one row. */
export interface OwnRow {
  readonly at: number
  /** How many events. */
  readonly n: number
  /** The name of the commit where it is not the id of its first event. */
  readonly name?: string
  /** What it was decided on, for a restored server. */
  readonly needs?: readonly string[]
  readonly was?: { readonly [identity: string]: number }
}

/** All of it at one moment. */
export interface SyncSnapshot {
  readonly state: SyncState
  /** By `n`. */
  readonly outbox: readonly OutboxRow[]
}

/** What became of a commit that left the outbox. `position`: of its first event. */
export interface EndedCommit {
  readonly name: string
  readonly status: 'confirmed' | 'discarded'
  readonly position?: number
}

/** A pulled page as it is stored: as it came. Its positions follow each other. */
export interface PulledEvents {
  /** The position of the first event on the wire. */
  readonly at: number
  /** Their ids were given. */
  readonly events: readonly EventText[]
  /** The versions on the wire, by index in `events`. */
  readonly versions: readonly number[]
  /** Indexes in `events` at which a commit begins. The first is one of them. */
  readonly starts: ReadonlySet<number>
}

/** What one transaction changes. */
export interface SyncChange {
  /** Its `turn` is one above that of the state before. */
  readonly state: SyncState
  readonly put?: readonly OutboxRow[]
  readonly remove?: readonly number[]
  /** Behind all rows that are there, in any order; or with names, so that they are joined with no other row. */
  readonly own?: readonly OwnRow[]
  /** Goes to the end of the log. Not in a change that takes back. */
  readonly pulled?: PulledEvents
  /**
   * Healing: records behind this position, where a commit ends, go to the attic. The rows of `own` behind it are
   * removed, and the log gets `state.identity`.
   */
  readonly takeBack?: { readonly upTo: number }
  /** Should the disk lose it, the server says it again. */
  readonly isRepeated?: boolean
  /** What own commits up to a position were decided on, and what was taken back with identities. */
  readonly forget?: { readonly needsUpTo?: number; readonly attic?: readonly string[] }
  /** Commits that leave the outbox for good, for those who wait for them in this context. */
  readonly ended?: readonly EndedCommit[]
}

/**
 * What is to be changed, as a pure function of what is stored. Called before the transaction or in it, again if
 * commits were appended meanwhile. `undefined`: nothing.
 */
export type SyncRule = (snapshot: SyncSnapshot) => SyncChange | undefined
