/** Data that only the compiler knows, for catalogues with definitions. */
import type { StandardSchema } from './schema.js'

/** What is in the one schema that checks nothing, so that it need not be run. */
export const unchecked: StandardSchema['~standard'] = {
  version: 1,
  vendor: 'tidemark',
  validate: (value) => ({ value }),
}

/**
 * A schema that gives an event type its type and checks nothing at run time: for types of a catalogue with definitions
 * (`defineEvents({ … })`) whose data needs no validator. At run time the data of such an event may be any JSON, as with
 * `defineEvents<E>()`.
 *
 * @example
 * const events = defineEvents({
 *   ItemAdded: { schema: typed<{ sku: string; quantity: number }>() },
 *   ItemRemoved: {
 *     schema: typed<{ sku: string; reason: string }>(),
 *     version: 2,
 *     upcast: { 1: (data) => ({ ...data, reason: 'unknown' }) },
 *   },
 * })
 */
export function typed<T>(): StandardSchema<T, T> {
  return { '~standard': unchecked as StandardSchema<T, T>['~standard'] }
}
