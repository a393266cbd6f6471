/** An append, checked and encoded before any transaction opens (H1, H2, H47): from here on nothing of the caller's is touched. */
import { InvalidArgumentError, InvalidEventError, VersionConflictError, type ExpectedVersion } from '../errors.js'
import type { CatalogueCore } from '../events/catalogue.js'
import type { EventShape } from '../events/event.js'
import { createId } from '../events/identifier.js'
import { toJsonText } from '../events/json.js'
import { eventType, streamName } from '../events/names.js'
import type { Clock } from '../platform/clock.js'
import type { AppendOptions, AppendResult, StreamWrite } from './event-store.js'
import { compileFilter, type CompiledFilter } from './filter.js'

/** Turns `data` into what is stored and back: encryption at rest, other formats. Runs outside transactions (H77). */
export interface Codec {
  /** Answers a JSON value. May be asynchronous. */
  encode(data: unknown, event: { readonly type: string; readonly stream: string }): unknown
  /** The inverse. May be asynchronous. */
  decode(stored: unknown, event: { readonly type: string; readonly stream: string }): unknown
}

export interface PreparedEvent {
  readonly type: string
  readonly stream: string
  readonly id: string
  /** Somebody outside may know this id and append it again. */
  readonly idGiven: boolean
  /** The event as JSON up to its version, and from there on. */
  readonly before: string
  readonly after: string
}

export interface PreparedAppend {
  readonly events: readonly PreparedEvent[]
  readonly expected: ReadonlyMap<string, ExpectedVersion>
  readonly condition: { readonly filter: CompiledFilter; readonly after: number } | undefined
  /** Set for an import: several commits of another log, stored in one transaction. */
  readonly imported?: {
    /** Indexes in `events` at which a commit begins. */
    readonly starts: ReadonlySet<number>
  }
}

/** What an event is stored as, but for its version, which only the transaction knows. `data` and `meta` are JSON already. */
export function prepareEvent(event: {
  readonly type: string
  readonly data: string
  readonly meta: string | undefined
  readonly stream: string
  readonly id: string
  readonly idGiven: boolean
  readonly time: number
  readonly schema: number
}, quote: (text: string) => string = JSON.stringify): PreparedEvent {
  const { type, data, meta, stream, id, idGiven, time, schema } = event
  return {
    type, stream, id, idGiven,
    before: `{"type":${quote(type)},"data":${data}${meta === undefined ? '' : `,"meta":${meta}`},"stream":${quote(stream)},"version":`,
    after: `,"id":${JSON.stringify(id)},"time":${time}${schema === 1 ? '' : `,"schema":${schema}`}}`,
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
  const { catalogue, codec, clock } = context
  const many = Array.isArray(writes)
  const list = (many ? writes : [writes]) as readonly StreamWrite<E>[]
  if (list.length === 0) throw new InvalidArgumentError('writes', 'must name at least one stream.')
  const expected = new Map<string, ExpectedVersion>()
  const drafts: { type: string; stream: string; id: string; idGiven: boolean; data: unknown; dataText: string | undefined; metaText: string | undefined; path: string }[] = []
  const ids = new Set<string>()
  const time = clock.now()
  // Everything of the caller's is read in this loop, without a pause, so that changing it afterwards changes nothing.
  for (const [at, write] of list.entries()) {
    const here = many ? `writes[${at}].` : ''
    if (typeof write !== 'object' || write === null) throw new InvalidArgumentError(many ? `writes[${at}]` : 'writes', 'must be { stream, events }.')
    const stream = streamName(write.stream)
    const wanted = expectedVersion(write.expectedVersion, `${here}expectedVersion`)
    const before = expected.get(stream)
    if (before === undefined || before === 'any') expected.set(stream, wanted)
    else if (wanted !== 'any' && wanted !== before) {
      throw new InvalidArgumentError(`${here}expectedVersion`, `contradicts another write to stream '${stream}': ${before} and ${wanted}.`)
    }
    if (!Array.isArray(write.events)) throw new InvalidArgumentError(`${here}events`, 'must be a list of events.')
    for (const [index, event] of (write.events as readonly EventShape[]).entries()) {
      const path = `${here}events[${index}]`
      if (typeof event !== 'object' || event === null) throw new InvalidEventError(path, 'must be { type, data }.')
      let type: string, data: unknown, meta: unknown, id: unknown
      try {
        ;({ type, data, meta, id } = event as { type: string; data: unknown; meta: unknown; id: unknown })
      } catch (cause) {
        throw new InvalidEventError(path, 'has a property that throws when it is read.', { cause })
      }
      eventType(type)
      const idGiven = id !== undefined
      if (idGiven && (typeof id !== 'string' || id === '' || id.length > 255)) throw new InvalidEventError(`${path}.id`, 'must be a string of 1 to 255 characters.')
      const finalId = idGiven ? (id as string) : createId(time)
      if (ids.has(finalId)) throw new InvalidEventError(`${path}.id`, 'stands twice in this append.')
      ids.add(finalId)
      const validated = catalogue.validate(type, data, path)
      const waits = validated instanceof Promise
      drafts.push({
        type, stream, id: finalId, idGiven, path,
        data: waits ? validated : undefined,
        dataText: waits ? undefined : toJsonText(validated, `${path}.data`),
        metaText: meta === undefined ? undefined : toJsonText(meta, `${path}.meta`),
      })
    }
  }
  const condition = options.failIfAny === undefined
    ? undefined
    : { filter: compileFilter(options.failIfAny.filter), after: wholeNumber(options.failIfAny.after, 'failIfAny.after') }
  const quoted = new Map<string, string>()
  const quote = (text: string) => {
    let known = quoted.get(text)
    if (known === undefined) quoted.set(text, (known = JSON.stringify(text)))
    return known
  }
  const events: PreparedEvent[] = []
  for (const draft of drafts) {
    const { type, stream, id, idGiven, metaText, path } = draft
    let dataText = draft.dataText ?? toJsonText(await draft.data, `${path}.data`)
    if (codec !== undefined) dataText = toJsonText(await codec.encode(JSON.parse(dataText), { type, stream }), `${path}.data (as encoded by the codec)`)
    const event = prepareEvent({ type, data: dataText, meta: metaText, stream, id, idGiven, time, schema: catalogue.schemaVersion(type) }, quote)
    assertSize(event, context.maxEventBytes, path)
    events.push(event)
  }
  return { events, expected, condition }
}

/** @throws InvalidEventError for an event that is too large to be stored (H14) */
export function assertSize({ before, after }: PreparedEvent, maxEventBytes: number, path: string): void {
  if (before.length + after.length > maxEventBytes) {
    throw new InvalidEventError(path, `is larger than ${maxEventBytes} characters of JSON. Store large content elsewhere and refer to it.`)
  }
}

/** What is left of an import once the events that are there already are left out; all of it if all are, which makes it a duplicate. */
export function withoutKnown(prepared: PreparedAppend, known: ReadonlyMap<string, KnownEvent>): PreparedAppend {
  if (prepared.imported === undefined || known.size === 0) return prepared
  const starts = new Set<number>()
  const events: PreparedEvent[] = []
  let begins = false
  for (const [index, event] of prepared.events.entries()) {
    begins ||= prepared.imported.starts.has(index)
    if (known.has(event.id)) continue
    if (begins) starts.add(events.length)
    begins = false
    events.push(event)
  }
  return events.length === 0 ? prepared : { ...prepared, events, imported: { starts } }
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
    const { id } = prepared.events[elsewhere] as PreparedEvent
    throw new InvalidEventError(`The event with id '${id}'`, `is in the log already, in stream '${hits[elsewhere]?.stream}' at position ${hits[elsewhere]?.position}: this append is no repeat of that one. Give it an id of its own.`)
  }
  const versions: Record<string, number> = Object.create(null)
  for (const stream of prepared.expected.keys()) {
    versions[stream] = Math.max(0, ...found.filter((hit) => hit.stream === stream).map((hit) => hit.version)) || versionOf(stream)
  }
  const positions = found.map((hit) => hit.position)
  return { position: Math.max(...positions), firstPosition: Math.min(...positions), versions, duplicate: true }
}
