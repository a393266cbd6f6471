/** An append, checked and encoded before any transaction opens (H1, H2, H47): from here on nothing of the caller's is touched. */
import { InvalidArgumentError, InvalidEventError, VersionConflictError, type ExpectedVersion } from '../errors.js'
import type { CatalogueCore } from '../events/catalogue.js'
import type { EventShape } from '../events/event.js'
import { createId } from '../events/identifier.js'
import { toJsonText } from '../events/json.js'
import { assertEventId, eventType, streamName } from '../events/names.js'
import type { Clock } from '../platform/clock.js'
import type { AppendOptions, AppendResult, StreamWrite } from './event-store.js'
import { compileFilter, type CompiledFilter } from './filter.js'
import { rowText, weightOf, type EventText } from './record-text.js'

/** Turns `data` into what is stored and back: encryption at rest, other formats. Runs outside transactions (H77). */
export interface Codec {
  /** Answers a JSON value. May be asynchronous. */
  encode(data: unknown, event: { readonly type: string; readonly stream: string }): unknown
  /** The inverse. May be asynchronous. */
  decode(stored: unknown, event: { readonly type: string; readonly stream: string }): unknown
}

export interface PreparedAppend {
  readonly events: readonly EventText[]
  readonly expected: ReadonlyMap<string, ExpectedVersion>
  readonly condition: { readonly filter: CompiledFilter; readonly after: number } | undefined
  /** Set for an import: several commits of another log, stored in one transaction. */
  readonly imported?: {
    /** Indexes in `events` at which a commit begins. */
    readonly starts: ReadonlySet<number>
    /**
     * What is left once the events that are there already are left out; all of it if all are, which makes it a duplicate.
     *
     * @throws InvalidImportError for what does not fit the log as it is
     */
    without(known: ReadonlyMap<string, KnownEvent>, versionOf: (stream: string) => number): PreparedAppend
  }
}

/** An event with all that it lacked, but not yet encoded. */
export interface EventDraft extends Omit<EventText, 'data' | 'meta'> {
  readonly data: unknown
  readonly meta: unknown
}

/** What all that an event has besides `data` and `meta` comes to at most, in characters of JSON. */
const mostAround = 8 * 1024

/** Makes what is stored of events. */
export function eventEncoder(maxEventBytes: number): (draft: EventDraft, path: string) => EventText {
  return ({ type, stream, id, idGiven, time, schema, data, meta }, path) => {
    // Named one by one: a copy of "the rest" takes Firefox as long as all else here.
    const text: EventText = {
      type, stream, id, idGiven, time, schema, data: toJsonText(data, `${path}.data`), meta: meta === undefined ? undefined : toJsonText(meta, `${path}.meta`),
    }
    if (weightOf(text) + mostAround > maxEventBytes && rowText(text, 1).length > maxEventBytes) {
      throw new InvalidEventError(path, `is larger than ${maxEventBytes} characters of JSON. Store large content elsewhere and refer to it.`)
    }
    return text
  }
}

export interface PrepareContext {
  readonly catalogue: CatalogueCore
  readonly codec: Codec | undefined
  readonly clock: Clock
  readonly maxEventBytes: number
}

/** A position or version from outside (H50). */
export function wholeNumber(value: unknown, argument: string, least = 0): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < least) {
    throw new InvalidArgumentError(argument, `must be a whole number of at least ${least}.`)
  }
  return value + 0
}

function expectedVersion(value: unknown, path: string): ExpectedVersion {
  if (value === undefined || value === 'any') return 'any'
  if (value === 'no-stream' || value === 'stream-exists') return value
  if (typeof value === 'string') throw new InvalidArgumentError(path, "must be a version, 'any', 'no-stream' or 'stream-exists'.")
  return wholeNumber(value, path)
}

/** Checks and encodes. Asynchronous only as far as a schema or a codec is. */
export async function prepareAppend<E extends EventShape>(
  writes: StreamWrite<E> | readonly StreamWrite<E>[],
  options: AppendOptions,
  context: PrepareContext,
): Promise<PreparedAppend> {
  const { catalogue, codec, clock, maxEventBytes } = context
  const many = Array.isArray(writes)
  const list = (many ? writes : [writes]) as readonly StreamWrite<E>[]
  if (list.length === 0) throw new InvalidArgumentError('writes', 'must name at least one stream.')
  const expected = new Map<string, ExpectedVersion>()
  const events: EventText[] = []
  /** Events whose data has to be waited for, and their places. */
  const late: { readonly at: number; readonly path: string; readonly draft: EventDraft }[] = []
  /** Names of streams as they were given, and as they are stored. */
  const streams = new Map<string, string>()
  const types = new Set<string>()
  const givenIds = new Set<string>()
  const encode = eventEncoder(maxEventBytes)
  const time = clock.now()
  // Everything of the caller's is read in this loop, without a pause, so that changing it afterwards changes nothing.
  for (let at = 0; at < list.length; at += 1) {
    const write = list[at] as StreamWrite<E>
    const here = many ? `writes[${at}].` : ''
    if (typeof write !== 'object' || write === null) throw new InvalidArgumentError(many ? `writes[${at}]` : 'writes', 'must be { stream, events }.')
    const name = write.stream
    let stream = streams.get(name)
    if (stream === undefined) streams.set(name, (stream = streamName(name)))
    const wanted = expectedVersion(write.expectedVersion, `${here}expectedVersion`)
    const before = expected.get(stream)
    if (before === undefined || before === 'any') expected.set(stream, wanted)
    else if (wanted !== 'any' && wanted !== before) {
      throw new InvalidArgumentError(`${here}expectedVersion`, `contradicts another write to stream '${stream}': ${before} and ${wanted}.`)
    }
    if (!Array.isArray(write.events)) throw new InvalidArgumentError(`${here}events`, 'must be a list of events.')
    const given = write.events as readonly EventShape[]
    for (let index = 0; index < given.length; index += 1) {
      const path = `${here}events[${index}]`
      const { type, data, meta, id } = partsOf(given[index], path)
      if (!types.has(type)) types.add(eventType(type))
      if (id !== undefined) {
        if (givenIds.has(id)) throw new InvalidEventError(`${path}.id`, 'stands twice in this append.')
        givenIds.add(id)
      }
      const checked = catalogue.validate(type, data, path)
      const draft: EventDraft = {
        type, stream, id: id ?? createId(time), idGiven: id !== undefined, time, schema: catalogue.schemaVersion(type), data: checked, meta,
      }
      if (codec === undefined && !(checked instanceof Promise)) events.push(encode(draft, path))
      else {
        const copy = (part: unknown, name: string): unknown => (part === undefined ? part : JSON.parse(toJsonText(part, `${path}.${name}`)))
        late.push({ at: events.push(nothingYet) - 1, path, draft: { ...draft, data: checked instanceof Promise ? checked : copy(checked, 'data'), meta: copy(meta, 'meta') } })
      }
    }
  }
  const condition = options.failIfAny === undefined
    ? undefined
    : { filter: compileFilter(options.failIfAny.filter), after: wholeNumber(options.failIfAny.after, 'failIfAny.after') }
  for (const { at, path, draft } of late) {
    const { type, stream } = draft
    let data = await draft.data
    // What a schema answers late is checked before a codec sees it.
    if (codec !== undefined) data = await codec.encode(draft.data instanceof Promise ? JSON.parse(toJsonText(data, `${path}.data`)) : data, { type, stream })
    events[at] = encode({ ...draft, data }, path)
  }
  return { events, expected, condition }
}

/** Keeps the place of an event that is waited for. */
const nothingYet: EventText = { type: '', stream: '', id: '', idGiven: false, time: 0, schema: 1, data: '', meta: undefined }

/** What an event consists of; each property is read once. */
function partsOf(event: unknown, path: string): { type: string; data: unknown; meta: unknown; id: string | undefined } {
  if (typeof event !== 'object' || event === null) throw new InvalidEventError(path, 'must be { type, data }.')
  let parts: { type: string; data: unknown; meta: unknown; id: unknown }
  try {
    const { type, data, meta, id } = event as typeof parts
    parts = { type, data, meta, id }
  } catch (cause) {
    throw new InvalidEventError(path, 'has a property that throws when it is read.', { cause })
  }
  if (parts.id !== undefined) assertEventId(parts.id, `${path}.id`)
  return parts as ReturnType<typeof partsOf>
}

/** The first expectation that the given versions do not meet. */
export function findConflict(expected: ReadonlyMap<string, ExpectedVersion>, versionOf: (stream: string) => number): VersionConflictError | undefined {
  for (const [stream, wanted] of expected) {
    const actual = versionOf(stream)
    const met = wanted === 'any' || (wanted === 'no-stream' ? actual === 0 : wanted === 'stream-exists' ? actual > 0 : actual === wanted)
    if (!met) return new VersionConflictError({ stream, expected: wanted, actual })
  }
  return undefined
}

/** Where an event with a given id stands already. */
export interface KnownEvent {
  readonly position: number
  readonly stream: string
  readonly version: number
}

/**
 * What a repeated append answers: the first result if all of its ids are there, nothing if none is (H17).
 *
 * @throws InvalidEventError if only some are, or they stand in other streams: that is not a retry, and storing the rest would tear the batch apart
 */
export function duplicateResult(
  prepared: PreparedAppend,
  known: ReadonlyMap<string, KnownEvent>,
  versionOf: (stream: string) => number,
): AppendResult | undefined {
  const hits = prepared.events.map((event) => known.get(event.id))
  const found = hits.filter((hit) => hit !== undefined)
  if (found.length === 0) return undefined
  if (found.length < hits.length) {
    const index = hits.findIndex((hit) => hit !== undefined)
    throw new InvalidEventError(`The event with id '${prepared.events[index]?.id}'`, `is in the log already, at position ${found[0]?.position}, but not all events of this append are. Append the others alone.`)
  }
  const elsewhere = prepared.events.findIndex((event, at) => hits[at]?.stream !== event.stream)
  if (elsewhere >= 0) {
    const { id } = prepared.events[elsewhere] as EventText
    throw new InvalidEventError(`The event with id '${id}'`, `is in the log already, in stream '${hits[elsewhere]?.stream}' at position ${hits[elsewhere]?.position}: this append is no repeat of that one. Give it an id of its own.`)
  }
  const versions: Record<string, number> = Object.create(null)
  for (const stream of prepared.expected.keys()) {
    versions[stream] = Math.max(0, ...found.filter((hit) => hit.stream === stream).map((hit) => hit.version)) || versionOf(stream)
  }
  const positions = found.map((hit) => hit.position)
  return { position: Math.max(...positions), firstPosition: Math.min(...positions), versions, duplicate: true }
}
