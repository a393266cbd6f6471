/** What an app says about an event type, checked and read once. */
import { InvalidArgumentError } from '../errors.js'
import { say } from '../messages.js'
import { onlyKnown } from '../platform/arguments.js'
import { isObject } from '../platform/objects.js'
import { propertyPath } from './json.js'
import type { StandardSchema, Validate } from './schema.js'
import { unchecked } from './typed.js'

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
/** The data of a definition's events as they are stored, and of plain events: the output of its schema. */
export type DataOf<D extends EventDefinition> = D extends { readonly schema: StandardSchema<unknown, unknown> }
  ? NonNullable<D['schema']['~standard']['types']>['output']
  : unknown

/** What a creator takes: the input of the schema. */
export type InputOf<D extends EventDefinition> = D extends { readonly schema: StandardSchema<unknown, unknown> }
  ? NonNullable<D['schema']['~standard']['types']>['input']
  : unknown

/** A definition that was read. */
export interface KnownType {
  readonly validate: Validate | undefined
  readonly version: number
  /** Upcasters from version 1, 2, 3 … */
  readonly upcasters: readonly Upcast[]
}

/** Reads a definition, once: changing it later has no effect. */
export function readDefinition(type: string, definition: EventDefinition | undefined): KnownType {
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
