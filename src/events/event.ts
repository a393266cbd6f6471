/** What an event is, before and after it is stored. */

/** A value that survives `JSON` unchanged: what `data` and `meta` of an event may hold. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue }

/** The shape that every event has. An app's own event type is a union of such shapes, told apart by `type`. */
export interface EventShape {
  readonly type: string
  readonly data: unknown
  readonly meta?: unknown
}

/** What the caller appends: an event of the app. With an id, appending it again is safe. */
export type NewEvent<E extends EventShape> = E & {
  /** Unique in the log. A UUIDv7 is made when it is missing; `defineEvents` creators stamp one. */
  readonly id?: string
  /** Information about the event that is not part of the fact itself, such as the user or a trace id. JSON. */
  readonly meta?: unknown
  /**
   * Set by a creator whose schema changes its own output, such as euros into cents: `append` then stores `data` without
   * running the schema again. Copies of the event keep it. It fits this `data` and version of the type only, and is not
   * stored.
   */
  readonly checked?: string | undefined
}

/** An event in the log: what the caller appended, plus its place and time. Narrowing on `type` works. */
export type RecordedEvent<E extends EventShape = EventShape> = E & {
  /** The name of its stream. */
  readonly stream: string
  /** 1, 2, 3 … within the stream, without gaps. */
  readonly version: number
  /** 1, 2, 3 … in the log, without gaps, in commit order. */
  readonly position: number
  /** UUIDv7 unless the caller gave one; unique in the log. */
  readonly id: string
  /** The writer's wall clock, in ms since the epoch. Do not order by it. */
  readonly time: number
  readonly meta?: unknown
  /**
   * Of a store that syncs: it is not in the log of the server yet, so its version and position are provisional. Handlers
   * are given such events for what views show of them; what they make of them is stored nowhere.
   */
  readonly pending?: true
}
