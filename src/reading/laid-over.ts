/**
 * What a store that syncs lays over the rows of its log: its own events that are not in them. The store includes that
 * code, so that other bundles do not contain it.
 */
import type { RecordedEvent } from '../events/event.js'
import type { EventFilter } from '../log/event-store.js'
import { internalsOf } from '../log/open.js'
import type { Clock } from '../platform/clock.js'
import type { Projection } from '../read-model/define.js'
import type { StateRow } from '../read-model/state.js'
import type { Query } from '../read-model/storage.js'
import type { ModelLookout } from '../running/shared-storage.js'
import type { LiveSource } from './live-query.js'

/** A `liveProjection`, checked. */
export interface FoldedModel<S> {
  readonly initial: S
  readonly on: { readonly [type: string]: ((state: S, event: RecordedEvent) => S) | undefined }
  readonly filter: EventFilter
}

export interface LaidOver {
  /** What readers of a read model ask and follow instead: the same for the same lookout. */
  over(lookout: ModelLookout, definition: Projection, clock: Clock): ModelLookout
  /** What a `liveProjection` follows. */
  fold<S>(model: FoldedModel<S>, clock: Clock, end: () => unknown): LiveSource<S>
}

/** The state that came with the result of questions. */
export interface ShownState extends StateRow {
  /** The questions whose results depend on own events that are not in the rows. */
  readonly pending?: ReadonlySet<Query>
}

export const laidOver = (store: unknown): LaidOver | undefined => internalsOf(store)?.overlay as LaidOver | undefined
