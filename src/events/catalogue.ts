/** `defineEvents`: the event types of an app, and the functions that create events. */
import { InvalidArgumentError } from '../errors.js'
import { say } from '../messages.js'
import { made, notOurs } from '../platform/copies.js'
import { isObject } from '../platform/objects.js'
import { anyEvents, coreOf, type CatalogueCore } from './catalogue-core.js'
import type { DefinedCreators, EventCatalogue, EventCreators, EventsDefined } from './catalogue-types.js'
import { creatorOf, type AnyCreator } from './creator.js'
import { readDefinition, type EventDefinitions, type KnownType } from './definition.js'
import type { EventShape } from './event.js'
import type { NotJson } from './json-type.js'
import { isPlainPrototype } from './json.js'
import { eventType } from './names.js'

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
