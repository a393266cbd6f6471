/** An append is checked and encoded before any transaction opens. */
import { InvalidEventError } from '../errors.js'
import { say } from '../messages.js'
import type { CatalogueCore } from '../events/catalogue-core.js'
import { createId } from '../events/identifier.js'
import { toJsonText } from '../events/json.js'
import { assertEventId, eventType } from '../events/names.js'
import { wallTime, type Clock } from '../platform/clock.js'
import { isThenable, optional } from '../platform/promises.js'
import { Slices } from '../platform/slices.js'
import { encodedBy, encodeEvent, type Codec, type EventDraft } from './encode.js'
import type { AppendOptions } from './event-store.js'
import type { PreparedAppend } from './prepared-append.js'
import { readCondition, type GivenAppend, type GivenEvent } from './read-writes.js'
import { weightOf, type EventText } from './record/record-text.js'

export interface PrepareContext {
  readonly catalogue: CatalogueCore
  readonly codec: Codec | undefined
  readonly clock: Clock
  readonly maxEventCharacters: number
}

/** An append that waits for the app: for a schema or a codec that is asynchronous. */
export interface LateAppend {
  /** Resolves when all of it is there, or early if `isOver` says that the append was given up. */
  late(isOver: () => boolean): Promise<PreparedAppend>
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

/**
 * This much of an append is read synchronously, however long that takes: a caller that appends less may reuse its
 * objects immediately.
 */
const readAtOnce = { events: 1024, characters: 256 * 1024 }
/** The clock is asked each time this many characters were encoded, with at least 256 counted per event. */
const stride = 8 * 1024
/** How many events of an append may be with an asynchronous codec before the first of them is awaited. */
const encodedAtOnce = 64

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

/**
 * Checks and encodes. Returns a promise if the append is so large that the page may respond in between, and a {@link
 * LateAppend} if the app's schemas or codec are asynchronous.
 *
 * `data` is read before it returns, up to `readAtOnce`. Each event is checked and encoded in one go, so that what is
 * stored is what was checked, whatever the caller does to its objects meanwhile.
 */
export function prepareAppend(
  { given, expected }: GivenAppend,
  { condition, signal }: AppendOptions,
  context: PrepareContext,
): PreparedAppend | LateAppend | Promise<PreparedAppend | LateAppend> {
  const { catalogue, codec, clock, maxEventCharacters } = context
  const events: EventText[] = []
  const late: LateEvent[] = []
  const prepared: PreparedAppend = {
    events,
    expected,
    condition: readCondition(condition),
    pathOf: (index) => given[index]?.path ?? 'events',
  }
  const time = wallTime(clock)
  const validate = validator(catalogue)
  const slices = new Slices()
  const left = { ...readAtOnce }
  const encode = (draft: EventDraft, path: string) => encodeEvent(draft, path, maxEventCharacters, codec === undefined)
  /** Checks an event, and encodes it unless the app has to be waited for. */
  const take = (event: GivenEvent): EventText => {
    const { path, stream, type, data, meta, id } = event
    const checked = validate(event)
    const schema = catalogue.schemaVersion(type)
    const idGiven = id !== undefined
    const draft = { type, stream, id: id ?? createId(time), idGiven, time, schema, data: checked, meta }
    // Of an asynchronous schema: data that is a promise is refused as what it is.
    const waits = checked !== data && checked instanceof Promise
    if (codec === undefined && !waits) return encode(draft, path)
    const kept = waits ? optional(checked) : copied(checked, `${path}.data`)
    const isEncoded = codec !== undefined && !waits && late.length < encodedAtOnce
    const encoded = isEncoded ? encodedBy(codec, kept, draft, path) : kept
    if (isEncoded && !isThenable(encoded)) return encode({ ...draft, data: encoded }, path)
    late.push({
      at: events.length,
      path,
      draft: { ...draft, meta: copied(meta, `${path}.meta`) },
      isEncoded,
      data: isEncoded ? optional(Promise.resolve(encoded)) : encoded,
    })
    return nothingYet
  }
  /** Returns whether all is done; false if the page should respond first. */
  const work = (): boolean => {
    let unclocked = 0
    while (events.length < given.length) {
      const added = take(given[events.length] as GivenEvent)
      events.push(added)
      left.events -= 1
      left.characters -= weightOf(added)
      // How large an event is that waits is not known.
      unclocked += added === nothingYet ? stride : weightOf(added) + 256
      if (unclocked < stride) continue
      unclocked = 0
      if ((left.events < 0 || left.characters < 0) && slices.isOver) return false
    }
    return true
  }
  const finishLate = async (isOver: () => boolean): Promise<PreparedAppend> => {
    for (const { at, path, draft, data, isEncoded } of late) {
      await slices.turn()
      let value = await data
      if (isOver()) break
      if (codec !== undefined && !isEncoded) {
        // What a schema returns late is checked before a codec sees it.
        if (data instanceof Promise) value = copied(value, `${path}.data`)
        value = await encodedBy(codec, value, draft, path)
      }
      events[at] = encode({ ...draft, data: value }, path)
    }
    return prepared
  }
  const result = () => (late.length === 0 ? prepared : { late: finishLate })
  const workOn = async () => {
    do {
      await slices.turn()
      signal?.throwIfAborted()
    } while (!work())
    return result()
  }
  return work() ? result() : optional(workOn())
}

/** Checks the events of an append, one after the other. Returns their data as it will be stored. */
function validator(catalogue: CatalogueCore): (event: GivenEvent) => unknown {
  const types = new Set<string>()
  const ids = new Set<string>()
  return ({ path, type, data, id, checked }) => {
    if (id !== undefined) {
      assertEventId(id, `${path}.id`)
      if (ids.has(id)) throw new InvalidEventError(`${path}.id`, say`is used twice in this append.`)
      ids.add(id)
    }
    if (!types.has(type)) types.add(eventType(type))
    return catalogue.validate(type, data, path, checked)
  }
}

/** A copy of a JSON value, which the caller cannot change. */
const copied = (value: unknown, path: string): unknown =>
  value === undefined ? value : JSON.parse(toJsonText(value, path))
