/** Which readers a store suits, for the compiler: a projection or a command may be typed by fewer events than the store holds. */
import type { EventOfType } from './catalogue.js'
import type { EventShape } from './event.js'

/** Which events reach a projection: those of the types it is written for, or every event of the log. */
export type Reads = 'own types' | 'every event'

/** The types of events that `Own` and the store have both, and that differ: the store's event lacks what the reader is typed by. */
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
 * `unknown` where a reader that is typed by `Own` fits a store of `Store`, and else a text that says why it does not. For each type
 * of event that both have, the store's event must be assignable to the reader's, which may need less. What reads every event has to
 * know every event of the store. Of a store that was opened without a catalogue nothing is known, and everything fits.
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
