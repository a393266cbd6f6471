/** What an app may know of how its store is synced. */
import type { SyncSnapshot } from './sync-state.js'

/** Why a store is paused, stopped, or waits. */
export type SyncReason =
  /** The server refuses the credentials: sign in again, then call `resume()`. */
  | 'unauthorized'
  /** The server refuses this user: `now()` asks again, and nothing by itself. */
  | 'forbidden'
  /** What the server sent does not follow what is here. */
  | 'inconsistent'
  /** The server has another log at this address. */
  | 'other-log'
  /** Another user is signed in than the one whose store this is. */
  | 'other-author'
  /** This user may see another part of the log than before. */
  | 'scope-changed'
  /** The server has no events from as far back any more. */
  | 'before-first'
  /** The server was restored from a backup, and what it lost cannot be given back. */
  | 'diverged'
  /** The server speaks a newer protocol: reload the page. */
  | 'newer-protocol'
  /**
   * A newer version of the app stored something on this device that this one does not know, or wrote an event that a
   * command of this one would have to decide over: reload the page.
   */
  | 'newer-format'
  /** The server did not understand a request. */
  | 'bad-request'
  /** Offline, though something responds at the address: a login page of the network, a proxy, or the address is wrong. */
  | 'foreign-response'
  /** The device has no space for more events. Own commits are still sent. */
  | 'storage-full'
  /** The storage of this device failed. */
  | 'storage-failed'
  /** The store was deleted, by another tab or by the browser, or replaced: `reopen()` opens the one that is there now. */
  | 'storage-lost'
  /** With `'paused'` by `pause()`, with `'stopped'` by `stop()` or as the store was closed. */
  | 'by-hand'

/**
 * - `'following'`: another tab syncs, and has not told yet how it is
 * - `'working'`: sends or fetches
 * - `'idle'`: has what the server has, and the server has what this device did
 * - `'offline'`: no tidemark server responds, or a proxy responds that does not reach it; see `nextTry`
 * - `'waiting'`: the server or the storage asked to wait, or something has to happen first; see `reason` and `nextTry`
 * - `'healing'`: gives back to a restored server what it lost
 * - `'paused'`: until `resume()`; see `reason`
 * - `'stopped'`: see `reason`
 */
export type SyncPhase = 'following' | 'working' | 'idle' | 'offline' | 'waiting' | 'healing' | 'paused' | 'stopped'

/** Every phase, for the check of what another context says. */
export const phases: readonly SyncPhase[] = [
  'following',
  'working',
  'idle',
  'offline',
  'waiting',
  'healing',
  'paused',
  'stopped',
]

/** Every reason, for the same check. */
export const reasons: readonly SyncReason[] = [
  'unauthorized',
  'forbidden',
  'inconsistent',
  'other-log',
  'other-author',
  'scope-changed',
  'before-first',
  'diverged',
  'newer-protocol',
  'newer-format',
  'bad-request',
  'foreign-response',
  'storage-full',
  'storage-failed',
  'storage-lost',
  'by-hand',
]

/** How a store is synced, the same in every tab. A new object whenever something in it changed. */
export interface SyncStatus {
  readonly status: SyncPhase
  readonly reason?: SyncReason
  /** The reason in words, for developers. */
  readonly message?: string
  /** Up to which position of the server this device has the log. */
  readonly cursor: number
  /** The last position of the server, as far as it is known. */
  readonly head: number
  /**
   * Own commits that are not confirmed, without those that the app discarded. The counts are those of what is stored, as
   * far as this context knows of others; 0 before a store is open. Before anything is deleted, ask `outbox()`.
   */
  readonly pending: number
  /** Those of them that wait for events that the server lacks, or about which it cannot decide. */
  readonly behind: number
  /** Own commits that were refused, and that the app has neither retried nor discarded. */
  readonly refused: number
  /** How far the log was fetched while there is much to fetch, or a local store while it is adopted: positions. */
  readonly progress?: { readonly done: number; readonly total: number }
  /**
   * The stream on which the server hints that its log has grown. While it is `'closed'`, what others do is found within a
   * minute. Absent with `wake: 'poll'`, before the first try, and where nothing syncs.
   */
  readonly wake?: 'open' | 'closed'
  /** When a tidemark server last responded, in ms since 1970. */
  readonly lastContact?: number
  /** When it is tried again, in ms since 1970. */
  readonly nextTry?: number
}

/** What becomes different. `undefined` removes an entry. */
export type SyncStatusChange = { readonly [K in keyof SyncStatus]?: SyncStatus[K] | undefined }

/** A status without the entries that are `undefined`. */
export function statusOf(entries: SyncStatusChange): SyncStatus {
  const status: Record<string, unknown> = { ...entries }
  for (const key of Object.keys(status)) if (status[key] === undefined) delete status[key]
  return status as unknown as SyncStatus
}

/** What the machine says of itself. Counts come from the snapshot. */
export interface SyncReport {
  readonly status: Exclude<SyncPhase, 'following'>
  readonly reason?: SyncReason | undefined
  readonly message?: string | undefined
  readonly snapshot: SyncSnapshot
}

/** The part of a status that the stored state tells. */
export type SyncCounts = Pick<SyncStatus, 'cursor' | 'head' | 'pending' | 'behind' | 'refused'>

export function countsOf({ state, outbox }: SyncSnapshot): SyncCounts {
  let pending = 0
  let behind = 0
  let refused = 0
  for (const row of outbox) {
    if (row.refused !== undefined) refused += 1
    else if (row.cancel !== true) {
      pending += 1
      if (row.behind !== undefined) behind += 1
    }
  }
  const cursor = state.cursor.at
  return { cursor, head: Math.max(state.head, cursor), pending, behind, refused }
}
