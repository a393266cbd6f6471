/**
 * Which readers fit a store, for the compiler: a projection or a command may be typed by fewer events than the store
 * holds.
 */
import type { EventOfType } from './catalogue-types.js'
import type { EventShape } from './event.js'

/** Which events a projection receives: those of the types it is written for, or every event of the log. */
export type Reads = 'own types' | 'every event'

/**
 * The types of events that both `Own` and the store have, if the store's event lacks something that the reader's type
 * has.
 */
type Misfits<Store extends EventShape, Own extends EventShape> = Own extends EventShape
  ? Own['type'] & Store['type'] extends infer N extends string
    ? N extends string
      ? EventOfType<Store, N> extends EventOfType<Own, N>
        ? never
        : N
      : never
    : never
  : never

/**
 * `unknown` if a reader that is typed by `Own` fits a store of `Store`, otherwise a text that says why it does not. For
 * each type of event that both have, the store's event must be assignable to the reader's. A reader of every event must
 * know every event of the store. A store that was opened without a catalogue fits every reader.
 */
export type FitsStore<
  Store extends EventShape,
  Own extends EventShape,
  R extends Reads = 'own types',
> = string extends Store['type']
  ? unknown
  : [Misfits<Store, Own>] extends [never]
    ? 'every event' extends R
      ? [Store['type']] extends [Own['type']]
        ? unknown
        : `It reads every event, and is not typed by the store's '${Exclude<Store['type'], Own['type']>}': name the types in 'filter'.`
      : unknown
    : `The store's '${Misfits<Store, Own>}' is not the event that this is typed by.`
