/** Whether two events are one and the same: an id alone may have been taken. */
import { isSameJson } from '../../events/json.js'
import type { EventText, StoredEvent } from '../../log/record/record-text.js'

const isSameValue = (one: string | undefined, other: string | undefined): boolean =>
  one === other || (one !== undefined && other !== undefined && isSameJson(JSON.parse(one), JSON.parse(other)))

/** As the server compares them: stream, type and data. Texts may be written differently. */
export const isSameText = (one: EventText, other: EventText): boolean =>
  one.id === other.id && one.stream === other.stream && one.type === other.type && isSameValue(one.data, other.data)

/** A confirmed event and one of the server: every field. */
export const isSameRecord = (one: StoredEvent, other: EventText, position: number, version: number): boolean =>
  one.id === other.id &&
  one.stream === other.stream &&
  one.type === other.type &&
  one.position === position &&
  one.version === version &&
  one.time === other.time &&
  (one.schema ?? 1) === other.schema &&
  isSameJson(one.data, JSON.parse(other.data)) &&
  (one.meta === undefined || other.meta === undefined
    ? one.meta === undefined && other.meta === undefined
    : isSameJson(one.meta, JSON.parse(other.meta)))

/** A commit's event and what is confirmed at its place. */
export const isSameRecordAt = (stored: StoredEvent | undefined, event: EventText): boolean =>
  stored !== undefined &&
  stored.id === event.id &&
  stored.stream === event.stream &&
  stored.type === event.type &&
  isSameJson(stored.data, JSON.parse(event.data))
