/** Events as text: what a codec makes of their data, and what is stored of them. */
import { EventUnreadableError, InvalidEventError, messageOf } from '../errors.js'
import { say } from '../messages.js'
import { toJsonText } from '../events/json.js'
import { isObject } from '../platform/objects.js'
import { isThenable } from '../platform/promises.js'
import { rowText, weightOf, type EventText, type StoredEvent } from './record/record-text.js'

/** Which event it is whose data a codec turns into something else. */
export interface CodecEvent {
  readonly type: string
  readonly stream: string
  /** Its id, so that encrypted data can be bound to the event: moved to another one, it cannot be decrypted. */
  readonly id: string
}

/** What a codec gets of an event, and nothing else. */
const codecEvent = ({ type, stream, id }: CodecEvent): CodecEvent => ({ type, stream, id })

/** Turns `data` into what is stored and back: encryption at rest, other formats. Runs outside transactions. */
export interface Codec {
  /**
   * Returns a JSON value. May be asynchronous: then the append takes its place among others when all of its events are
   * encoded.
   */
  encode(data: unknown, event: CodecEvent): unknown
  /**
   * The inverse, so never `undefined`. May be asynchronous; a read that waits for it ends with its `signal`.
   *
   * `encoded` is false for what no codec encoded: what was stored before the app had one, but also what a server made up,
   * where the store syncs. Return it as it is if plain data is welcome; else throw.
   */
  decode(stored: unknown, event: CodecEvent & { readonly encoded: boolean }): unknown
}

/** What a codec made is stored as `{"~": …}`, so that a build without one does not take it for data. */
interface Encoded {
  readonly '~': unknown
}

/** How the text of what a codec made begins. Other data may begin like that, too. */
export const encodedBegins = '{"~":'

export const isEncoded = (data: unknown): data is Encoded =>
  isObject(data) && Object.hasOwn(data, '~') && Object.keys(data).length === 1

/**
 * What a codec makes of data, as it is stored; a promise if the codec is asynchronous.
 *
 * @throws InvalidEventError with what the codec threw
 */
export function encodedBy(codec: Codec, data: unknown, event: CodecEvent, path: string): unknown {
  const failed = (cause: unknown): never => {
    throw new InvalidEventError(path, say`could not be encoded: the codec threw an error (${messageOf(cause)}).`, {
      cause,
    })
  }
  const marked = (made: unknown) => (made === undefined ? made : ({ '~': made } satisfies Encoded))
  try {
    const made = codec.encode(data, codecEvent(event))
    return isThenable(made) ? Promise.resolve(made).then(marked, failed) : marked(made)
  } catch (cause) {
    return failed(cause)
  }
}

/**
 * Stored data as it was given; a promise if the codec is asynchronous.
 *
 * @throws EventUnreadableError for what a codec made, where there is none; what the codec throws
 */
export function decodedBy(codec: Codec | undefined, stored: unknown, event: CodecEvent, position: number): unknown {
  const encoded = isEncoded(stored)
  if (codec !== undefined) return codec.decode(encoded ? stored['~'] : stored, { ...codecEvent(event), encoded })
  if (!encoded) return stored
  throw new EventUnreadableError(
    position,
    say`a codec encoded it, and this build has none. A newer build wrote it: reload the page. If this build dropped its codec, keep it.`,
    undefined,
    true,
  )
}

/** An event with everything but its text. */
export interface EventDraft extends Omit<EventText, 'data' | 'meta'> {
  readonly data: unknown
  readonly meta: unknown
}

/** The most that an event has apart from `data` and `meta`, in characters of JSON. */
const mostAround = 8 * 1024

/** Makes what is stored of an event. @param isPlain no codec made its data, so it may not look as if one had */
export function encodeEvent(
  { type, stream, id, idGiven, time, schema, data, meta }: EventDraft,
  path: string,
  maxEventCharacters: number,
  isPlain = false,
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
  if (isPlain && text.data.startsWith(encodedBegins) && isEncoded(JSON.parse(text.data)))
    throw new InvalidEventError(
      `${path}.data`,
      say`has '~' as its only property, which says that a codec encoded it. Give it another name.`,
    )
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
