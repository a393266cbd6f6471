/** An append, checked and encoded before any transaction opens (H1, H2, H47): from here on nothing of the caller's is touched. */
import { InvalidArgumentError, InvalidEventError, VersionConflictError, type ExpectedVersion } from '../errors.js'
import type { CatalogueCore } from '../events/catalogue.js'
import type { EventShape } from '../events/event.js'
import { createId } from '../events/identifier.js'
import { toJsonText } from '../events/json.js'
import { assertEventId, eventType, streamName } from '../events/names.js'
import { onlyKnown } from '../platform/arguments.js'
import { wallTime, type Clock } from '../platform/clock.js'
import { isThenable, optional } from '../platform/promises.js'
import { Slices } from '../platform/slices.js'
import type { AppendOptions, StreamWrite } from './event-store.js'
import { compileFilter, type CompiledFilter } from './filter.js'
import { rowText, weightOf, type EventText } from './record/record-text.js'
import type { KnownEvents } from './repeated.js'

/** Turns `data` into what is stored and back: encryption at rest, other formats. Runs outside transactions (H77). */
export interface Codec {
  /** Returns a JSON value. May be asynchronous: then the append takes its place among others when all of its events are encoded. */
  encode(data: unknown, event: { readonly type: string; readonly stream: string }): unknown
  /** The inverse, so never `undefined`. May be asynchronous; a read that waits for it ends with its `signal`. */
  decode(stored: unknown, event: { readonly type: string; readonly stream: string }): unknown
}

export interface PreparedAppend {
  readonly events: readonly EventText[]
  readonly expected: ReadonlyMap<string, ExpectedVersion>
  readonly condition: { readonly filter: CompiledFilter; readonly after: number } | undefined
  /** How messages call an event, by its index in `events`. @default by its id */
  readonly pathOf?: (index: number) => string
  /** Set for an import: several commits of another log, stored in one transaction. */
  readonly imported?: {
    /** Indexes in `events` at which a commit begins. */
    readonly starts: ReadonlySet<number>
    /**
     * What is left once the events that are there already are left out; all of it if all are, which makes it a duplicate.
     *
     * @throws InvalidImportError for what does not fit the log as it is
     */
    without(known: KnownEvents, versionOf: (stream: string) => number): PreparedAppend
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
      type,
      stream,
      id,
      idGiven,
      time,
      schema,
      data: toJsonText(data, `${path}.data`),
      meta: meta === undefined ? undefined : toJsonText(meta, `${path}.meta`),
    }
    if (weightOf(text) + mostAround > maxEventBytes && rowText(text, 1).length > maxEventBytes) {
      throw new InvalidEventError(
        path,
        `is larger than ${maxEventBytes} characters of JSON. Store large content elsewhere and refer to it.`,
      )
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
  if (typeof value === 'string')
    throw new InvalidArgumentError(path, "must be a version, 'any', 'no-stream' or 'stream-exists'.")
  return wholeNumber(value, path)
}

/** An append that waits for the app: for a schema or a codec that is asynchronous. */
export interface LateAppend {
  /** Ends once all of it is there, or early where `isOver` says that the append was given up. */
  late(isOver: () => boolean): Promise<PreparedAppend>
}

/** An event as it was given. */
interface GivenEvent {
  readonly path: string
  readonly stream: string
  readonly type: string
  readonly data: unknown
  readonly meta: unknown
  readonly id: string | undefined
  /** What its creator left, if its schema changes its own output. */
  readonly checked: unknown
}

/** An event whose data has to be waited for, and its place. */
interface LateEvent {
  readonly at: number
  readonly path: string
  readonly draft: EventDraft
  /** Checked, and encoded if `isEncoded`. */
  readonly data: unknown
  readonly isEncoded: boolean
}

/** This much of an append is read synchronously, however long that takes: a caller that appends less may reuse its objects immediately. */
const readAtOnce = { events: 1024, characters: 256 * 1024 }
/** The clock is asked each time this many characters were encoded, where an event counts for 256 at least. */
const stride = 8 * 1024
/** How many events of an append may be with an asynchronous codec before the first of them is awaited. */
const encodedAtOnce = 64

/**
 * Checks and encodes. Returns a promise where there is so much to do that the page gets its turn in between, and a {@link LateAppend} where
 * the app's schemas or codec are asynchronous.
 *
 * Lists, events and their properties are read before it returns; so is `data`, up to `readAtOnce`. Each event is checked and encoded in one
 * go, so that what is stored is what was checked, whatever the caller does to its objects meanwhile.
 */
export function prepareAppend<E extends EventShape>(
  writes: StreamWrite<E> | readonly StreamWrite<E>[],
  options: AppendOptions,
  context: PrepareContext,
): PreparedAppend | LateAppend | Promise<PreparedAppend | LateAppend> {
  const { catalogue, codec, clock, maxEventBytes } = context
  const { given, expected } = readWrites(writes)
  const condition = options.condition === undefined ? undefined : readCondition(options.condition)
  const events: EventText[] = []
  const late: LateEvent[] = []
  const types = new Set<string>()
  const givenIds = new Set<string>()
  const encode = eventEncoder(maxEventBytes)
  const time = wallTime(clock)
  const prepared: PreparedAppend = { events, expected, condition, pathOf: (index) => given[index]?.path ?? 'events' }
  const slices = new Slices()
  const take = ({ path, stream, type, data, meta, id, checked: mark }: GivenEvent) => {
    if (id !== undefined) {
      assertEventId(id, `${path}.id`)
      if (givenIds.has(id)) throw new InvalidEventError(`${path}.id`, 'is used twice in this append.')
      givenIds.add(id)
    }
    if (!types.has(type)) types.add(eventType(type))
    const checked = catalogue.validate(type, data, path, mark)
    const draft: EventDraft = {
      type,
      stream,
      id: id ?? createId(time),
      idGiven: id !== undefined,
      time,
      schema: catalogue.schemaVersion(type),
      data: checked,
      meta,
    }
    // Of an asynchronous schema: data that is a promise is refused as what it is.
    const waits = checked !== data && checked instanceof Promise
    if (codec === undefined && !waits) return events.push(encode(draft, path))
    const copy = (part: unknown, name: string): unknown =>
      part === undefined ? part : JSON.parse(toJsonText(part, `${path}.${name}`))
    const kept = waits ? optional(checked) : copy(checked, 'data')
    const begin = codec !== undefined && !waits && late.length < encodedAtOnce
    const encoded = begin ? codec.encode(kept, { type, stream }) : kept
    if (begin && !isThenable(encoded)) return events.push(encode({ ...draft, data: encoded }, path))
    late.push({
      at: events.push(nothingYet) - 1,
      path,
      draft: { ...draft, meta: copy(meta, 'meta') },
      isEncoded: begin,
      data: begin ? optional(Promise.resolve(encoded)) : encoded,
    })
    return events.length
  }
  /** Whether all is done; not if the page's turn has come. */
  const work = (): boolean => {
    let unclocked = 0
    while (events.length < given.length) {
      const added = events[take(given[events.length] as GivenEvent) - 1] as EventText
      left.events -= 1
      left.characters -= weightOf(added)
      // How large one is that waits is not known.
      unclocked += added === nothingYet ? stride : weightOf(added) + 256
      if (unclocked < stride) continue
      unclocked = 0
      if ((left.events < 0 || left.characters < 0) && slices.isOver) return false
    }
    return true
  }
  const left = { ...readAtOnce }
  const finish = (): PreparedAppend | LateAppend => (late.length === 0 ? prepared : { late: finishLate })
  const finishLate = async (isOver: () => boolean) => {
    for (const { at, path, draft, data, isEncoded } of late) {
      await slices.turn()
      let value = await data
      if (isOver()) break
      // What a schema returns late is checked before a codec sees it.
      const { type, stream } = draft
      if (codec !== undefined && !isEncoded)
        value = await codec.encode(data instanceof Promise ? JSON.parse(toJsonText(value, `${path}.data`)) : value, {
          type,
          stream,
        })
      events[at] = encode({ ...draft, data: value }, path)
    }
    return prepared
  }
  if (work()) return finish()
  const workOn = async () => {
    do {
      await slices.turn()
      options.signal?.throwIfAborted()
    } while (!work())
    return finish()
  }
  return optional(workOn())
}

const writeNames = ['stream', 'events', 'expectedVersion']

/** What an append consists of: each property of lists, writes and events is read once, here. */
function readWrites<E extends EventShape>(writes: StreamWrite<E> | readonly StreamWrite<E>[]) {
  const many = Array.isArray(writes)
  const list = (many ? writes : [writes]) as readonly StreamWrite<E>[]
  if (list.length === 0) throw new InvalidArgumentError('writes', 'must name at least one stream.')
  const given: GivenEvent[] = []
  const expected = new Map<string, ExpectedVersion>()
  /** Names of streams as they were given, and as they are stored. */
  const streams = new Map<string, string>()
  for (let at = 0; at < list.length; at += 1) {
    const write = list[at] as StreamWrite<E>
    const here = many ? `writes[${at}].` : ''
    const what = many ? `writes[${at}]` : 'writes'
    if (typeof write !== 'object' || write === null) throw new InvalidArgumentError(what, 'must be { stream, events }.')
    // A misspelt `expectedVersion` would be none.
    onlyKnown(write, writeNames, what)
    const name = write.stream
    let stream = streams.get(name)
    if (stream === undefined) streams.set(name, (stream = streamName(name)))
    const wanted = expectedVersion(write.expectedVersion, `${here}expectedVersion`)
    const before = expected.get(stream)
    if (before === undefined || before === 'any') expected.set(stream, wanted)
    else if (wanted !== 'any' && wanted !== before) {
      throw new InvalidArgumentError(
        `${here}expectedVersion`,
        `contradicts another write to stream '${stream}': ${before} and ${wanted}.`,
      )
    }
    const { events } = write
    if (!Array.isArray(events)) throw new InvalidArgumentError(`${here}events`, 'must be a list of events.')
    for (let index = 0; index < events.length; index += 1)
      given.push(partsOf(events[index], `${here}events[${index}]`, stream))
  }
  return { given, expected }
}

function readCondition(condition: unknown): PreparedAppend['condition'] {
  if (condition === null) throw new InvalidArgumentError('condition', 'must be { failIfEventsMatch, after }.')
  onlyKnown(condition, ['failIfEventsMatch', 'after'], 'condition')
  const { failIfEventsMatch: filter, after = 0 } = condition as NonNullable<AppendOptions['condition']>
  return { filter: compileFilter(filter), after: wholeNumber(after, 'condition.after') }
}

/** Keeps the place of an event that is waited for. */
const nothingYet: EventText = {
  type: '',
  stream: '',
  id: '',
  idGiven: false,
  time: 0,
  schema: 1,
  data: '',
  meta: undefined,
}

/** What an event consists of; each property is read once. */
function partsOf(event: unknown, path: string, stream: string): GivenEvent {
  if (typeof event !== 'object' || event === null) throw new InvalidEventError(path, 'must be { type, data }.')
  try {
    const { type, data, meta, id, checked } = event as GivenEvent
    return { path, stream, type, data, meta, id, checked }
  } catch (cause) {
    throw new InvalidEventError(path, 'has a property that throws when it is read.', { cause })
  }
}

/** The first expectation that the given versions do not meet. */
export function findConflict(
  expected: ReadonlyMap<string, ExpectedVersion>,
  versionOf: (stream: string) => number,
): VersionConflictError | undefined {
  for (const [stream, wanted] of expected) {
    const actual = versionOf(stream)
    const met =
      wanted === 'any' ||
      (wanted === 'no-stream' ? actual === 0 : wanted === 'stream-exists' ? actual > 0 : actual === wanted)
    if (!met) return new VersionConflictError({ stream, expected: wanted, actual })
  }
  return undefined
}
