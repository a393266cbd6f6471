/** An append is checked and encoded before any transaction opens. */
import { InvalidEventError } from '../errors.js'
import { say } from '../messages.js'
import type { CatalogueCore } from '../events/catalogue.js'
import { createId } from '../events/identifier.js'
import { toJsonText } from '../events/json.js'
import { assertEventId, eventType } from '../events/names.js'
import { wallTime, type Clock } from '../platform/clock.js'
import { isThenable, optional } from '../platform/promises.js'
import { Slices } from '../platform/slices.js'
import { encodedBy, eventEncoder, type Codec, type EventDraft } from './encode.js'
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
  append: GivenAppend,
  options: AppendOptions,
  context: PrepareContext,
): PreparedAppend | LateAppend | Promise<PreparedAppend | LateAppend> {
  const preparation = new Preparation(append, options, context)
  if (preparation.work()) return preparation.result()
  return optional(preparation.workOn(options.signal))
}

class Preparation {
  readonly #context: PrepareContext
  readonly #given: readonly GivenEvent[]
  readonly #prepared: PreparedAppend
  readonly #events: EventText[] = []
  readonly #late: LateEvent[] = []
  readonly #types = new Set<string>()
  readonly #ids = new Set<string>()
  readonly #encode: ReturnType<typeof eventEncoder>
  readonly #time: number
  readonly #slices = new Slices()
  readonly #left = { ...readAtOnce }

  constructor({ given, expected }: GivenAppend, { condition }: AppendOptions, context: PrepareContext) {
    this.#context = context
    this.#given = given
    this.#prepared = {
      events: this.#events,
      expected,
      condition: readCondition(condition),
      pathOf: (index) => given[index]?.path ?? 'events',
    }
    this.#encode = eventEncoder(context.maxEventCharacters, context.codec === undefined)
    this.#time = wallTime(context.clock)
  }

  result(): PreparedAppend | LateAppend {
    return this.#late.length === 0 ? this.#prepared : { late: (isOver) => this.#finishLate(isOver) }
  }

  /** Returns whether all is done; false if the page should respond first. */
  work(): boolean {
    const left = this.#left
    let unclocked = 0
    while (this.#events.length < this.#given.length) {
      const added = this.#take(this.#given[this.#events.length] as GivenEvent)
      left.events -= 1
      left.characters -= weightOf(added)
      // How large an event is that waits is not known.
      unclocked += added === nothingYet ? stride : weightOf(added) + 256
      if (unclocked < stride) continue
      unclocked = 0
      if ((left.events < 0 || left.characters < 0) && this.#slices.isOver) return false
    }
    return true
  }

  async workOn(signal: AbortSignal | undefined): Promise<PreparedAppend | LateAppend> {
    do {
      await this.#slices.turn()
      signal?.throwIfAborted()
    } while (!this.work())
    return this.result()
  }

  /** Checks the next event, and encodes it unless the app has to be waited for. */
  #take(given: GivenEvent): EventText {
    const { path, data, meta } = given
    const { codec } = this.#context
    const checked = this.#validate(given)
    const draft = this.#draft(given, checked)
    // Of an asynchronous schema: data that is a promise is refused as what it is.
    const waits = checked !== data && checked instanceof Promise
    if (codec === undefined && !waits) return this.#add(this.#encode(draft, path))
    const kept = waits ? optional(checked) : copied(checked, `${path}.data`)
    const begin = codec !== undefined && !waits && this.#late.length < encodedAtOnce
    const encoded = begin ? encodedBy(codec, kept, draft, path) : kept
    if (begin && !isThenable(encoded)) return this.#add(this.#encode({ ...draft, data: encoded }, path))
    this.#late.push({
      at: this.#events.length,
      path,
      draft: { ...draft, meta: copied(meta, `${path}.meta`) },
      isEncoded: begin,
      data: begin ? optional(Promise.resolve(encoded)) : encoded,
    })
    return this.#add(nothingYet)
  }

  #add(event: EventText): EventText {
    this.#events.push(event)
    return event
  }

  #validate({ path, type, data, id, checked }: GivenEvent): unknown {
    if (id !== undefined) {
      assertEventId(id, `${path}.id`)
      if (this.#ids.has(id)) throw new InvalidEventError(`${path}.id`, say`is used twice in this append.`)
      this.#ids.add(id)
    }
    if (!this.#types.has(type)) this.#types.add(eventType(type))
    return this.#context.catalogue.validate(type, data, path, checked)
  }

  #draft({ stream, type, meta, id }: GivenEvent, data: unknown): EventDraft {
    const time = this.#time
    const schema = this.#context.catalogue.schemaVersion(type)
    return { type, stream, id: id ?? createId(time), idGiven: id !== undefined, time, schema, data, meta }
  }

  async #finishLate(isOver: () => boolean): Promise<PreparedAppend> {
    const { codec } = this.#context
    for (const { at, path, draft, data, isEncoded } of this.#late) {
      await this.#slices.turn()
      let value = await data
      if (isOver()) break
      // What a schema returns late is checked before a codec sees it.
      if (codec !== undefined && !isEncoded)
        value = await encodedBy(codec, data instanceof Promise ? copied(value, `${path}.data`) : value, draft, path)
      this.#events[at] = this.#encode({ ...draft, data: value }, path)
    }
    return this.#prepared
  }
}

/** A copy of a JSON value, which the caller cannot change. */
const copied = (value: unknown, path: string): unknown =>
  value === undefined ? value : JSON.parse(toJsonText(value, path))
