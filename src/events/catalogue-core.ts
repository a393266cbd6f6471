/** What the log asks of the event types of an app: to validate new data, and to restore stored data. */
import { InvalidEventError } from '../errors.js'
import { say } from '../messages.js'
import type { KnownType } from './definition.js'
import { toJsonText } from './json.js'
import { creatorName, markOf, storedData } from './schema.js'
import { newerThanKnown, upcastFrom } from './upcasting.js'

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

/** Of types that have definitions. */
export function coreOf(known: ReadonlyMap<string, KnownType>): CatalogueCore {
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

function under(path: string, key: string): string {
  return path === '' ? key : `${path}.${key}`
}
