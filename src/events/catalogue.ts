/** The event types of an app: their shape, validation and versions, and the functions that create events. */
import { EventUnreadableError, InvalidArgumentError, InvalidEventError, messageOf } from '../errors.js'
import { say } from '../messages.js'
import { onlyKnown } from '../platform/arguments.js'
import { systemTime } from '../platform/clock.js'
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
import { unchecked } from './typed.js'
import { isObject } from '../platform/objects.js'

export type { StandardIssue, StandardResult, StandardSchema } from './schema.js'

/** The data of a stored event before it is upcast. Annotate the parameter of an upcaster with a more precise type. */
export interface StoredData {
  readonly [key: string]: unknown
}

/** Turns data of one version into data of the next. Synchronous; must not change its argument. */
// Declared as a method because methods compare their parameters both ways: so the app may annotate the type that it
// knows was stored.
export type Upcast = { upcast(data: StoredData): unknown }['upcast']

/** One event type. */
export interface EventDefinition {
  /**
   * Checks `data`. A creator takes the input of the schema, runs the schema once and creates an event from its output,
   * which is stored. The data of a plain event is stored data, so it has the type of the output. The schema checks it
   * and may tidy it (defaults, trimmed strings, keys left out), if checking the result again changes nothing more. A
   * schema that changes its own output, such as euros into cents, is for creators only. @default any JSON is accepted
   */
  readonly schema?: StandardSchema<unknown, unknown>
  /** The version of this type's data. Raise it when the shape of the data changes. @default 1 */
  readonly version?: number
  /** Upcasters, by the version that they start from: one for each version from 1 to `version - 1`. */
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
 * The event types of an app, as `defineEvents` returns them. `E` is the union of its events. `Known` says whether the
 * types are known at run time; they are if they have definitions.
 */
export interface EventCatalogue<E extends EventShape = EventShape, Known extends boolean = boolean> {
  /** Exists for the compiler only: it carries the type. */
  readonly [events]: { readonly [makes]?: E; readonly [knows]?: Known }
}

/** The union of events of a catalogue: `EventOf<typeof catalogue>`. */
export type EventOf<C extends EventCatalogue> = Exclude<C[typeof events][typeof makes], undefined>

/** What a creator takes in addition to `data`. */
export type CreatorOptions<E extends EventShape> = {
  /** Unique in the log. @default a new UUIDv7 */
  readonly id?: string | undefined
} & (E extends { readonly meta: infer Meta }
  ? { readonly meta: Meta }
  : { readonly meta?: E extends { readonly meta?: infer Meta } ? Meta : unknown })

/** As {@link CreatorOptions}, for an event whose `meta` is optional. */
export interface PlainCreatorOptions<E extends EventShape> {
  /** Unique in the log. @default a new UUIDv7 */
  readonly id?: string | undefined
  readonly meta?: E extends { readonly meta?: infer Meta } ? Meta : unknown
}

/** What a creator returns: an event with an id. `checked`: see `NewEvent`. */
export type CreatedEvent<E extends EventShape> = E & {
  readonly id: string
  readonly meta?: unknown
  readonly checked?: string | undefined
}

/** Properties that carry types for the compiler, and do not exist at run time. */
interface Carried<E extends EventShape, Known extends boolean> {
  readonly [makes]?: E
  readonly [knows]?: Known
}

/**
 * Creates an event that is ready to append, with an id. Appending it again is safe, also as a copy that was posted to a
 * worker or kept as JSON over a reload. Takes the input of the type's schema and runs the schema once; `data` of the
 * event is the output.
 *
 * @throws InvalidEventError if the data does not fit
 * @throws InvalidArgumentError for an unknown option
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

/** As {@link EventCreator}, for an event whose `meta` is optional. */
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
 * If no event requires `meta`, a function may be generic over the type, and `events[type](data)` compiles in it:
 * `<T extends FlightEvent['type']>(type: T, data: EventOfType<FlightEvent, T>['data'])`.
 */
// One mapped type, whose key carries `E`: the compiler resolves `events[type]` in no other form.
export type EventCreators<E extends EventShape> = {
  readonly [T in Exclude<E['type'], 'then'> | typeof events]: [Extract<E, { readonly meta: unknown }>] extends [never]
    ? PlainEventCreator<EventOfType<E, T>, DataOfType<E, T>, false>
    : EventCreator<EventOfType<E, T>, DataOfType<E, T>, false>
}

/**
 * The data of one type of events. Three spellings of one type, because the compiler treats each as different while `T`
 * is a parameter: `EventOfType<E, T>['data']`, `Extract<E, { type: T }>['data']`, and a lookup by type.
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

/** The data of a definition's events as they are stored, and of plain events: the output of its schema. */
export type DataOf<D extends EventDefinition> = D extends { readonly schema: StandardSchema<unknown, unknown> }
  ? NonNullable<D['schema']['~standard']['types']>['output']
  : unknown

/** What a creator takes: the input of the schema. */
export type InputOf<D extends EventDefinition> = D extends { readonly schema: StandardSchema<unknown, unknown> }
  ? NonNullable<D['schema']['~standard']['types']>['input']
  : unknown

/** The union of the events of definitions. */
export type EventsDefined<D extends EventDefinitions> = {
  [T in keyof D & string]: { type: T; data: DataOf<D[T] & EventDefinition> }
}[keyof D & string]

/** The union of events as creators take them: with the input of the schemas. */
export type InputsDefined<D extends EventDefinitions> = {
  [T in keyof D & string]: { type: T; data: InputOf<D[T] & EventDefinition> }
}[keyof D & string]

/** Creators whose arguments are the inputs of the schemas. */
export type DefinedCreators<D extends EventDefinitions> = {
  readonly [T in Exclude<keyof D & string, 'then'> | typeof events]: PlainEventCreator<
    EventOfType<EventsDefined<D>, T>,
    DataOfType<InputsDefined<D>, T>,
    true
  >
}

/**
 * Declares the events of an app by their types alone. At run time, only that they are JSON is checked.
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
 * Declares the events of an app with their schemas and versions.
 *
 * @throws InvalidArgumentError for a version that is not 1, 2, 3 …, for a missing or superfluous upcaster, and for an
 * unknown property
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

/** What the log needs of a catalogue. */
export interface CatalogueCore {
  /** undefined: any type is allowed */
  readonly types: ReadonlySet<string> | undefined
  /** The version of the data of new events of this type; 1 by default. */
  schemaVersion(type: string): number
  /**
   * The data of a new event as it will be stored; a promise only if the schema is asynchronous.
   *
   * @param mark the event's `checked`, if its creator set it
   * @throws InvalidEventError under the given path, from the promise if there is one
   */
  validate(type: string, data: unknown, path: string, mark?: unknown): unknown | Promise<unknown>
  /** No type has upcasters, so the log need not call `restore`. */
  readonly identity: boolean
  /**
   * Upcasts stored data to the current version.
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

// Not properties of the catalogue, since all of its properties are event types.
const cores = new WeakMap<object, CatalogueCore>()

/** The definitions of a catalogue. */
export function catalogueCore(catalogue: EventCatalogue): CatalogueCore {
  // A WeakMap returns undefined for a value that cannot be its key.
  const core = cores.get(catalogue)
  if (core === undefined)
    throw new InvalidArgumentError('events', notOurs(catalogue, say`must come from 'defineEvents'.`))
  return core
}

type AnyCreator = (data: unknown, options?: { id?: unknown; meta?: unknown }) => object

function openCatalogue(): object {
  const creators = new Map<string, AnyCreator>()
  const refuse = () => false
  const catalogue = new Proxy(Object.create(null) as object, {
    get(_target, type) {
      // `await` reads `then`; consoles and test runners read symbols.
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
    // A proxy must not hide properties of a target that is not extensible.
    preventExtensions: refuse,
  })
  cores.set(catalogue, anyEvents)
  return catalogue
}

function closedCatalogue(definitions: EventDefinitions): object {
  if (!isObject(definitions) || !isPlainPrototype(Object.getPrototypeOf(definitions))) {
    // `{ __proto__: … }` sets a prototype, not a property.
    throw new InvalidArgumentError(
      'defineEvents',
      say`takes a plain object of definitions. Write ['__proto__'] for a type of that name.`,
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
  /** Upcasters from version 1, 2, 3 … */
  readonly upcasters: readonly Upcast[]
}

/** Reads a definition, once: changing it later has no effect. */
function readDefinition(type: string, definition: EventDefinition | undefined): KnownType {
  const at = propertyPath('events', type)
  if (!isObject(definition)) throw new InvalidArgumentError(at, say`must be { schema?, version?, upcast? }.`)
  onlyKnown(definition, ['schema', 'version', 'upcast'], at)
  const { schema, version = 1, upcast = {} } = definition
  if (!Number.isSafeInteger(version) || version < 1)
    throw new InvalidArgumentError(`${at}.version`, say`must be 1, 2, 3 …`)
  if (!isObject(upcast))
    throw new InvalidArgumentError(`${at}.upcast`, say`must be functions by the version they start from.`)
  const standard = schema === undefined ? unchecked : (schema as Partial<StandardSchema> | null)?.['~standard']
  if (typeof standard?.validate !== 'function') {
    throw new InvalidArgumentError(
      `${at}.schema`,
      say`must be a Standard Schema, such as one of zod, valibot or arktype.`,
    )
  }
  const steps = new Map(Object.entries(upcast))
  const upcasters: Upcast[] = []
  // Stops at the first gap, so that a huge version costs nothing.
  for (let from = 1; from < version; from += 1) {
    const step = steps.get(String(from))
    if (typeof step !== 'function') {
      throw new InvalidArgumentError(
        `${at}.upcast`,
        say`must have a function for ${from}: events of that version may be stored, and this is version ${version}.`,
      )
    }
    upcasters.push(step)
    steps.delete(String(from))
  }
  const [extra] = steps.keys()
  if (extra !== undefined)
    throw new InvalidArgumentError(
      `${at}.upcast`,
      say`starts from ${extra}, which is no version before ${version}. Raise 'version'?`,
    )
  return { validate: standard === unchecked ? undefined : standard.validate.bind(standard), version, upcasters }
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
          say`is '${type}', which the catalogue does not have. Add it to 'defineEvents'.`,
        )
      }
      const { validate, version } = found
      const at = under(path, 'data')
      if (mark === undefined) return validate === undefined ? data : storedData(validate, type, data, at)
      if (mark === markOf(type, version, toJsonText(data, at))) return data
      throw new InvalidEventError(
        at,
        say`was changed since its creator made it, or is for another version of '${type}'. Make the event again with ${creatorName(type)}.`,
      )
    },
    identity: [...known.values()].every(({ upcasters }) => upcasters.length === 0),
    restore(type, storedVersion, data, position) {
      const found = known.get(type)
      // A type that the app no longer declares stays as it was stored, because there are no upcasters for it.
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
        say`cannot be validated synchronously, because the schema of '${type}' is asynchronous. Append { type: '${type}', data } instead.`,
      )
    }
    const text = toJsonText(value, 'data')
    if (meta !== undefined) toJsonText(meta, 'meta')
    const event = { type, data: value, id: id ?? createId(systemTime()), ...(meta === undefined ? {} : { meta }) }
    // `append` checks the event again, unless the schema would change or refuse its own output: such an event carries a
    // mark.
    return validate === undefined || keeps(validate, data, given, value, 'data') === true
      ? event
      : { ...event, checked: markOf(type, version, text) }
  }
}

function upcastFrom(known: KnownType, type: string, storedVersion: number, data: unknown, position: number): unknown {
  let value = data
  for (let from = storedVersion; from < known.version; from += 1) {
    const name = say`the upcaster of '${type}' from version ${from}`
    const upcast = known.upcasters[from - 1]
    if (upcast === undefined) throw new EventUnreadableError(position, say`${name} is missing.`)
    try {
      value = upcast(value as StoredData)
    } catch (cause) {
      throw new EventUnreadableError(position, say`${name} threw an error (${messageOf(cause)}).`, cause)
    }
    // Upcasters run during reads, which cannot wait for each event; undefined is most often a forgotten return.
    if (value === undefined) throw new EventUnreadableError(position, say`${name} returned undefined.`)
    if (isRefusedPromise(value)) throw new EventUnreadableError(position, say`${name} is asynchronous.`)
  }
  return value
}

function newerThanKnown(type: string, stored: number, known: number, position: number): EventUnreadableError {
  return new EventUnreadableError(
    position,
    say`it has version ${stored} of '${type}', and this build knows versions up to ${known}. A newer build wrote it: reload the page.`,
    undefined,
    true,
  )
}

/** An event that a command must not decide over. */
export const unknownType = (type: string, position: number): EventUnreadableError =>
  new EventUnreadableError(
    position,
    say`its type '${type}' is not in the catalogue, and a command must not decide over what it does not know. A newer build wrote it: reload the page. If this build dropped the type, keep its definition.`,
    undefined,
    true,
  )

function under(path: string, key: string): string {
  return path === '' ? key : `${path}.${key}`
}
