/** Events as text: what a codec makes of their data, and what is stored of them. */
import { InvalidEventError } from '../errors.js'
import { say } from '../messages.js'
import { toJsonText } from '../events/json.js'
import { rowText, weightOf, type EventText, type StoredEvent } from './record/record-text.js'

/** Which event it is whose data a codec turns into something else. */
export interface CodecEvent {
  readonly type: string
  readonly stream: string
  /** Its id, so that encrypted data can be bound to the event: moved to another one, it cannot be decrypted. */
  readonly id: string
}

/** What a codec gets of an event, and nothing else. */
export const codecEvent = ({ type, stream, id }: CodecEvent): CodecEvent => ({ type, stream, id })

/** Turns `data` into what is stored and back: encryption at rest, other formats. Runs outside transactions. */
export interface Codec {
  /**
   * Returns a JSON value. May be asynchronous: then the append takes its place among others when all of its events are
   * encoded.
   */
  encode(data: unknown, event: CodecEvent): unknown
  /** The inverse, so never `undefined`. May be asynchronous; a read that waits for it ends with its `signal`. */
  decode(stored: unknown, event: CodecEvent): unknown
}

/** An event with everything but its text. */
export interface EventDraft extends Omit<EventText, 'data' | 'meta'> {
  readonly data: unknown
  readonly meta: unknown
}

/** The most that an event has apart from `data` and `meta`, in characters of JSON. */
const mostAround = 8 * 1024

/** Makes what is stored of an event. */
export function encodeEvent(
  { type, stream, id, idGiven, time, schema, data, meta }: EventDraft,
  path: string,
  maxEventCharacters: number,
): EventText {
  // Named one by one: a copy of "the rest" takes Firefox as long as all else here.
  const text: EventText = {
    type,
    stream,
    id,
    idGiven,
    time,
    schema,
    data: toJsonText(data, `${path}.data`),
    meta: meta === undefined ? undefined : toJsonText(meta, `${path}.meta`),
  }
  if (weightOf(text) + mostAround > maxEventCharacters && rowText(text, 1).length > maxEventCharacters) {
    throw new InvalidEventError(
      path,
      say`is larger than ${maxEventCharacters} characters of JSON. Store large content elsewhere and refer to it.`,
    )
  }
  return text
}

/** An event that was stored, as text once more: what was JSON is the same JSON again, and was not too large. */
export const encodeAgain = ({ type, stream, id, time, schema = 1, data, meta }: StoredEvent): EventText =>
  encodeEvent({ type, stream, id, idGiven: true, time, schema, data, meta }, 'event', Infinity)
