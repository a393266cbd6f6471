/** The types of a catalogue and of its creators, for the compiler. */
import type { DataOf, EventDefinition, EventDefinitions, InputOf } from './definition.js'
import type { EventShape } from './event.js'

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
