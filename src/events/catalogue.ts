/** The event types of an app: their shape, validation, versions, and functions that make events. */
import { EventUnreadableError, InvalidArgumentError, InvalidEventError } from '../errors.js'
import { onlyKnown } from '../platform/arguments.js'
import { systemClock } from '../platform/clock.js'
import { made, notOurs } from '../platform/copies.js'
import { isRefusedPromise } from '../platform/promises.js'
import type { EventShape } from './event.js'
import { createId } from './identifier.js'
import type { NotJson } from './json-type.js'
import { isPlainPrototype, propertyPath, toJsonText } from './json.js'
import { assertEventId, eventType } from './names.js'
import {
  creatorName,
  keeps,
  markOf,
  runSchema,
  storedData,
  textBefore,
  type StandardSchema,
  type Validate,
} from './schema.js'

export type { StandardIssue, StandardResult, StandardSchema } from './schema.js'

/** The data of a stored event before it is brought up to date. Annotate the parameter of an upcaster to type it better. */
export interface StoredData {
  readonly [key: string]: unknown
}

/** Makes data of one version into data of the next. Synchronous, and must not change its argument. */
// Declared as a method because methods compare their parameters both ways: the app may annotate what it knows was stored.
export type Upcast = { upcast(data: StoredData): unknown }['upcast']

/** One event type. */
export interface EventDefinition {
  /**
   * Checks `data`. A creator takes what the schema takes (its input), runs it once, and makes an event of what it returns (its output):
   * that is stored. A plain event that is appended has data as it is stored, so it is of the type of the output; the schema checks
   * that, and may tidy it (defaults, trimmed strings, keys left out) if checking again would change nothing more. A schema that changes
   * its own output, such as euros into cents, is for creators only. @default anything is accepted
   */
  readonly schema?: StandardSchema<unknown, unknown>
  /** Of this type's data. Raise it when the data changes shape. @default 1 */
  readonly version?: number
  /** By the version it starts from: one for each of 1 to `version - 1`. */
  readonly upcast?: { readonly [from: number]: Upcast }
}

/** Event types by name. */
export interface EventDefinitions {
  readonly [type: string]: EventDefinition
}

declare const events: unique symbol
declare const makes: unique symbol
declare const knows: unique symbol

/**
 * The event types of an app, as `defineEvents` returns them. `E` is the union of its events; `Known` says whether the types are
 * known at run time, which they are where they have definitions.
 */
export interface EventCatalogue<E extends EventShape = EventShape, Known extends boolean = boolean> {
  /** Not there at runtime: carries the type. */
  readonly [events]: { readonly [makes]?: E; readonly [knows]?: Known }
}

/** The union of events of a catalogue: `EventOf<typeof catalogue>`. */
export type EventOf<C extends EventCatalogue> = Exclude<C[typeof events][typeof makes], undefined>

/** Besides data. */
export type CreatorOptions<E extends EventShape> = {
  /** Unique in the log. @default a new UUIDv7 */
  readonly id?: string | undefined
} & (E extends { readonly meta: infer Meta }
  ? { readonly meta: Meta }
  : { readonly meta?: E extends { readonly meta?: infer Meta } ? Meta : unknown })

/** As {@link CreatorOptions}, for an event that can do without `meta`. */
export interface PlainCreatorOptions<E extends EventShape> {
  /** Unique in the log. @default a new UUIDv7 */
  readonly id?: string | undefined
  readonly meta?: E extends { readonly meta?: infer Meta } ? Meta : unknown
}

/** What a creator makes: an event with an id. `checked`: see {@link NewEvent}. */
export type CreatedEvent<E extends EventShape> = E & {
  readonly id: string
  readonly meta?: unknown
  readonly checked?: string | undefined
}

/** What carries types only, and is not there at runtime. */
interface Carried<E extends EventShape, Known extends boolean> {
  readonly [makes]?: E
  readonly [knows]?: Known
}

/**
 * Makes an event that is ready to append, with an id: appending it again is safe, also a copy of it that was posted to a worker or kept
 * as JSON over a reload. Takes the input of the type's schema and runs it, once; `data` of the event is the output.
 *
 * @throws InvalidEventError if the data does not fit
 * @throws InvalidArgumentError for an option that there is none of
 */
export interface EventCreator<E extends EventShape, Input = E['data'], Known extends boolean = boolean> extends Carried<
  E,
  Known
> {
  (
    data: Input,
    ...options: E extends { readonly meta: unknown } ? [options: CreatorOptions<E>] : [options?: CreatorOptions<E>]
  ): CreatedEvent<E>
}

/** As {@link EventCreator}, for an event that can do without `meta`. */
export interface PlainEventCreator<
  E extends EventShape,
  Input = E['data'],
  Known extends boolean = boolean,
> extends Carried<E, Known> {
  (data: Input, options?: PlainCreatorOptions<E>): CreatedEvent<E>
}

/**
 * Creators by event type, except for a type called `then`, which would turn the catalogue into a promise.
 *
 * Where no event needs `meta`, a function may be generic over the type, and `events[type](data)` compiles in it:
 * `<T extends FlightEvent['type']>(type: T, data: EventOfType<FlightEvent, T>['data'])`.
 */
// One mapped type, and what carries `E` is a key of it: the compiler looks through `events[type]` in nothing else.
export type EventCreators<E extends EventShape> = {
  readonly [T in Exclude<E['type'], 'then'> | typeof events]: [Extract<E, { readonly meta: unknown }>] extends [never]
    ? PlainEventCreator<EventOfType<E, T>, DataOfType<E, T>, false>
    : EventCreator<EventOfType<E, T>, DataOfType<E, T>, false>
}

/**
 * The data of one type of events. One type in three spellings, each of which the compiler takes for itself alone while `T` is a parameter:
 * `EventOfType<E, T>['data']`, `Extract<E, { type: T }>['data']`, and a lookup by type.
 */
export type DataOfType<E extends EventShape, T extends string | symbol> =
  | (E extends EventShape ? EventOfType<E, T>['data'] | Extract<E, { type: T }>['data'] : never)
  | { readonly [N in E['type'] | T]: EventOfType<E, N>['data'] }[T]

/** The event of a union that has the given type. */
export type EventOfType<E extends EventShape, T extends string | symbol> = E extends { readonly type: T }
  ? E
  : T extends symbol
    ? E
    : E extends EventShape
      ? T extends E['type']
        ? E & { readonly type: T }
        : never
      : never

/** The data that is stored of a definition's events, and that plain events have: the output of its schema. */
export type DataOf<D extends EventDefinition> = D extends { readonly schema: StandardSchema<unknown, unknown> }
  ? NonNullable<D['schema']['~standard']['types']>['output']
  : unknown

/** What a creator takes: the input of the schema. */
export type InputOf<D extends EventDefinition> = D extends { readonly schema: StandardSchema<unknown, unknown> }
  ? NonNullable<D['schema']['~standard']['types']>['input']
  : unknown

/** The union of events that definitions make. */
export type EventsDefined<D extends EventDefinitions> = {
  [T in keyof D & string]: { type: T; data: DataOf<D[T] & EventDefinition> }
}[keyof D & string]

/** The union of events as creators take them: with the input of the schemas. */
export type InputsDefined<D extends EventDefinitions> = {
  [T in keyof D & string]: { type: T; data: InputOf<D[T] & EventDefinition> }
}[keyof D & string]

/** Creators whose arguments are what the schemas take. */
export type DefinedCreators<D extends EventDefinitions> = {
  readonly [T in Exclude<keyof D & string, 'then'> | typeof events]: PlainEventCreator<
    EventOfType<EventsDefined<D>, T>,
    DataOfType<InputsDefined<D>, T>,
    true
  >
}

/**
 * Names the events of an app by their types alone. Nothing is validated but that it is JSON.
 *
 * @example
 * const events = defineEvents<FlightEvent>()
 * events.FlightLanded({ delay: 12 })
 */
export function defineEvents(): EventCreators<EventShape>
export function defineEvents<E extends EventShape>(
  this: [NotJson<E>] extends [never] ? unknown : NotJson<E>,
): EventCreators<E>
/**
 * Names the events of an app with their schemas and versions.
 *
 * @throws InvalidArgumentError for a version that is not 1, 2, 3 …, for a missing or superfluous upcaster, and for a property that there is none of
 *
 * @example
 * const events = defineEvents({
 *   FlightLanded: {
 *     schema: z.object({ delay: z.number() }),
 *     version: 2,
 *     upcast: { 1: (data) => ({ delay: data.minutesLate }) },
 *   },
 * })
 */
export function defineEvents<const D extends EventDefinitions>(
  this: [NotJson<EventsDefined<D>>] extends [never] ? unknown : NotJson<EventsDefined<D>>,
  definitions: D,
): DefinedCreators<D>
export function defineEvents(definitions?: EventDefinitions): object {
  return definitions === undefined ? openCatalogue() : closedCatalogue(definitions)
}

/** What the log asks a catalogue. */
export interface CatalogueCore {
  /** undefined: any type is allowed */
  readonly types: ReadonlySet<string> | undefined
  /** Which version of its data new events of this type have; 1 by default. */
  schemaVersion(type: string): number
  /**
   * The data of a new event as it is to be stored; a promise only if the schema is asynchronous.
   *
   * @param mark what the event's creator left in `checked`, if it did
   * @throws InvalidEventError under the given path, from the promise if there is one
   */
  validate(type: string, data: unknown, path: string, mark?: unknown): unknown | Promise<unknown>
  /** No type has upcasters, so that the log need not call `restore`. */
  readonly identity: boolean
  /**
   * Brings stored data up to the present version.
   *
   * @throws EventUnreadableError if an upcaster fails, and for a version newer than this build knows
   */
  restore(type: string, storedVersion: number, data: unknown, position: number): unknown
}

/** For stores that are opened without a catalogue: any type, any JSON. */
export const anyEvents: CatalogueCore = {
  types: undefined,
  schemaVersion: () => 1,
  validate: (_type, data) => data,
  identity: true,
  restore: (type, storedVersion, data, position) => {
    if (storedVersion > 1) throw newerThanKnown(type, storedVersion, 1, position)
    return data
  },
}

// Beside the catalogue, whose properties are all event types.
const cores = new WeakMap<object, CatalogueCore>()

/** What is behind a catalogue. */
export function catalogueCore(catalogue: EventCatalogue): CatalogueCore {
  // A WeakMap answers undefined for what cannot be its key.
  const core = cores.get(catalogue)
  if (core === undefined) throw new InvalidArgumentError('events', notOurs(catalogue, "must come from 'defineEvents'."))
  return core
}

type AnyCreator = (data: unknown, options?: { id?: unknown; meta?: unknown }) => object

function openCatalogue(): object {
  const creators = new Map<string, AnyCreator>()
  const refuse = () => false
  const catalogue = new Proxy(Object.create(null) as object, {
    get(_target, type) {
      // `await` asks for `then`, consoles and test runners ask for symbols.
      if (type === made) return true
      if (typeof type === 'symbol' || type === 'then') return undefined
      let creator = creators.get(type)
      if (creator === undefined) creators.set(type, (creator = creatorOf(eventType(type))))
      return creator
    },
    has: (_target, type) => typeof type === 'string' && type !== 'then',
    set: refuse,
    defineProperty: refuse,
    deleteProperty: refuse,
    setPrototypeOf: refuse,
    // A proxy may not hide the properties of a target that it says cannot be extended.
    preventExtensions: refuse,
  })
  cores.set(catalogue, anyEvents)
  return catalogue
}

function closedCatalogue(definitions: EventDefinitions): object {
  if (
    typeof definitions !== 'object' ||
    definitions === null ||
    !isPlainPrototype(Object.getPrototypeOf(definitions))
  ) {
    // `{ __proto__: … }` is no property but a prototype.
    throw new InvalidArgumentError(
      'defineEvents',
      "takes a plain object of definitions. Write ['__proto__'] for a type of that name.",
    )
  }
  const known = new Map<string, KnownType>()
  for (const type of Object.keys(definitions)) known.set(eventType(type), readDefinition(type, definitions[type]))
  const core = coreOf(known)
  const catalogue: object = Object.create(null)
  for (const [type, definition] of known) {
    if (type !== 'then')
      Object.defineProperty(catalogue, type, { value: creatorOf(type, definition), enumerable: true })
  }
  Object.defineProperty(catalogue, made, { value: true })
  cores.set(catalogue, core)
  return Object.freeze(catalogue)
}

interface KnownType {
  readonly validate: Validate | undefined
  readonly version: number
  /** From version 1, 2, 3 … */
  readonly upcasters: readonly Upcast[]
}

/** Everything is read here, once: changing the definition later changes nothing. */
function readDefinition(type: string, definition: EventDefinition | undefined): KnownType {
  const at = propertyPath('events', type)
  if (typeof definition !== 'object' || definition === null)
    throw new InvalidArgumentError(at, 'must be { schema?, version?, upcast? }.')
  onlyKnown(definition, ['schema', 'version', 'upcast'], at)
  const { schema, version = 1, upcast = {} } = definition
  if (!Number.isSafeInteger(version) || version < 1)
    throw new InvalidArgumentError(`${at}.version`, 'must be 1, 2, 3 …')
  if (typeof upcast !== 'object' || upcast === null)
    throw new InvalidArgumentError(`${at}.upcast`, 'must be functions by the version they start from.')
  const standard = schema === undefined ? undefined : (schema as Partial<StandardSchema> | null)?.['~standard']
  if (schema !== undefined && typeof standard?.validate !== 'function') {
    throw new InvalidArgumentError(`${at}.schema`, 'must be a Standard Schema, such as one of zod, valibot or arktype.')
  }
  const steps = new Map(Object.entries(upcast))
  const upcasters: Upcast[] = []
  // Stops at the first gap, so that a huge version costs nothing.
  for (let from = 1; from < version; from += 1) {
    const step = steps.get(String(from))
    if (typeof step !== 'function') {
      throw new InvalidArgumentError(
        `${at}.upcast`,
        `must have a function for ${from}: events of that version may be stored, and this is version ${version}.`,
      )
    }
    upcasters.push(step)
    steps.delete(String(from))
  }
  const [extra] = steps.keys()
  if (extra !== undefined)
    throw new InvalidArgumentError(
      `${at}.upcast`,
      `starts from ${extra}, which is no version before ${version}. Raise 'version'?`,
    )
  return { validate: standard?.validate.bind(standard), version, upcasters }
}

function coreOf(known: ReadonlyMap<string, KnownType>): CatalogueCore {
  return {
    types: new Set(known.keys()),
    schemaVersion: (type) => known.get(type)?.version ?? 1,
    validate(type, data, path, mark) {
      const found = known.get(type)
      if (found === undefined) {
        throw new InvalidEventError(
          under(path, 'type'),
          `is '${type}', which the catalogue does not have. Add it to 'defineEvents'.`,
        )
      }
      const { validate, version } = found
      const at = under(path, 'data')
      if (mark === undefined) return validate === undefined ? data : storedData(validate, type, data, at)
      if (mark === markOf(type, version, toJsonText(data, at))) return data
      throw new InvalidEventError(
        at,
        `was changed since its creator made it, or is for another version of '${type}'. Make the event again with ${creatorName(type)}.`,
      )
    },
    identity: [...known.values()].every(({ upcasters }) => upcasters.length === 0),
    restore(type, storedVersion, data, position) {
      const found = known.get(type)
      // A type that the app no longer names is left as it was stored: nothing here knows what it should become.
      if (found === undefined) return data
      if (storedVersion > found.version) throw newerThanKnown(type, storedVersion, found.version, position)
      return upcastFrom(found, type, storedVersion, data, position)
    },
  }
}

function creatorOf(
  type: string,
  { validate, version }: Pick<KnownType, 'validate' | 'version'> = { validate: undefined, version: 1 },
): AnyCreator {
  return (data, options = {}) => {
    onlyKnown(options, ['id', 'meta'])
    const { id, meta } = options
    if (id !== undefined) assertEventId(id, 'id')
    const given = validate === undefined ? undefined : textBefore(data)
    const value = validate === undefined ? data : runSchema(validate, data, 'data')
    if (isRefusedPromise(value)) {
      throw new InvalidEventError(
        'data',
        `cannot be validated at once, because the schema of '${type}' is asynchronous. Append { type: '${type}', data } instead.`,
      )
    }
    const text = toJsonText(value, 'data')
    if (meta !== undefined) toJsonText(meta, 'meta')
    const event = { type, data: value, id: id ?? createId(systemClock.now()), ...(meta === undefined ? {} : { meta }) }
    // Checked again by `append`, unless the schema would change or refuse its own output: such an event says that it was checked.
    return validate === undefined || keeps(validate, data, given, value, 'data') === true
      ? event
      : { ...event, checked: markOf(type, version, text) }
  }
}

function upcastFrom(known: KnownType, type: string, storedVersion: number, data: unknown, position: number): unknown {
  let value = data
  for (let from = storedVersion; from < known.version; from += 1) {
    const name = `the upcaster of '${type}' from version ${from}`
    const upcast = known.upcasters[from - 1]
    if (upcast === undefined) throw new EventUnreadableError(position, `${name} is missing.`)
    try {
      value = upcast(value as StoredData)
    } catch (cause) {
      throw new EventUnreadableError(position, `${name} threw an error.`, cause)
    }
    // Upcasters run inside reading, which cannot wait for each event; undefined is most often a forgotten return.
    if (value === undefined) throw new EventUnreadableError(position, `${name} returned undefined.`)
    if (isRefusedPromise(value)) throw new EventUnreadableError(position, `${name} is asynchronous.`)
  }
  return value
}

function newerThanKnown(type: string, stored: number, known: number, position: number): EventUnreadableError {
  return new EventUnreadableError(
    position,
    `it has version ${stored} of '${type}', and this build knows versions up to ${known}. A newer build wrote it: reload the page.`,
    undefined,
    true,
  )
}

function under(path: string, key: string): string {
  return path === '' ? key : `${path}.${key}`
}
