/** What a synced store asks of its own storage, in addition to what the machine does. */
import type { KnownEvents, PreparedAppend } from '../log/prepared-append.js'
import type { IdGaps } from '../log/record/id-gaps.js'
import type { SyncState } from './sync-state.js'
import type { SyncStorage } from './sync-storage.js'

/** Which moment of the outbox: both numbers only grow. */
export interface OutboxStamp {
  readonly turn: number
  /** The largest number that a commit ever had. */
  readonly largestN: number
}

/** The last event of a stream. */
export interface StreamEnd {
  readonly version: number
  readonly id: string
}

/** The log, as far as an append depends on it. */
export interface ConfirmedFacts {
  /** The turn of the state at that moment. */
  readonly turn: number
  readonly head: number
  /** The id of the last event; `null` in an empty log. */
  readonly lastId: string | null
  /** The streams that the append names and that there are. */
  readonly ends: ReadonlyMap<string, StreamEnd>
  /** The streams that were looked at. */
  readonly looked?: ReadonlySet<string>
  /** Events that have a given id of the append. */
  readonly known: KnownEvents
  /** Where in the log no id is, as far as that was seen. */
  readonly ids: IdGaps
  /** The first position that the condition of the append matches. */
  readonly match: number | undefined
}

export interface DeviceStorage extends SyncStorage {
  /** With the identity of the log. */
  stamp(): Promise<OutboxStamp & Pick<SyncState, 'identity'>>
  /** One transaction over the log. */
  facts(prepared: PreparedAppend): Promise<ConfirmedFacts>
}
