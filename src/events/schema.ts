/** Running the schemas of events: input is checked, and stored data must be data that its schema does not change. */
import { describe, InvalidEventError } from '../errors.js'
import { say } from '../messages.js'
import { isThenable } from '../platform/promises.js'
import { isSameJson, propertyPath, toJsonText } from './json.js'
import { isObject } from '../platform/objects.js'

/** What tidemark needs from a validator: the Standard Schema interface, which zod, valibot, arktype and others have. */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => StandardResult<Output> | Promise<StandardResult<Output>>
    readonly types?: { readonly input: Input; readonly output: Output } | undefined
  }
}

/** What a validator returns: a value, or issues if there are any. */
export type StandardResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly StandardIssue[] }

/** One thing that is wrong with a value. */
export interface StandardIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

/** The function of a schema that checks a value. */
export type Validate = StandardSchema['~standard']['validate']

/** Which creator makes events of a type, for messages. */
export const creatorName = (type: string): string => `${propertyPath('events', type)}(…)`

/**
 * What the schema returns for a value; a promise if the schema is asynchronous.
 *
 * @param plain the type, if this is the data of a plain event: then the message explains plain events
 * @throws InvalidEventError under the path, from the promise if there is one
 */
export function runSchema(validate: Validate, value: unknown, path: string, plain?: string): unknown {
  const failed = (cause: unknown) =>
    new InvalidEventError(path, say`cannot be validated: its schema threw an error.`, { cause })
  let result: ReturnType<Validate>
  try {
    result = validate(value)
  } catch (cause) {
    throw failed(cause)
  }
  if (!isThenable(result)) return valueOf(result, path, plain)
  // A native promise, whatever the library returns.
  return Promise.resolve(result).then(
    (settled) => valueOf(settled, path, plain),
    (cause: unknown) => {
      throw failed(cause)
    },
  )
}

/**
 * Checks the data of a plain event, which is stored data. A schema may tidy it (defaults, trimmed strings, keys left
 * out). Its result must not change when it is checked again; otherwise the data could have passed through the schema
 * before.
 *
 * @returns the tidied data; a promise if the schema is asynchronous
 */
export function storedData(validate: Validate, type: string, data: unknown, path: string): unknown {
  const given = textBefore(data)
  const value = runSchema(validate, data, path, type)
  return next(value, (tidied) =>
    next(keeps(validate, data, given, tidied, path), (kept) => {
      if (kept) return tidied
      const whose =
        value instanceof Promise
          ? say`An asynchronous schema must not: change the data before.`
          : say`Make the event with ${creatorName(type)}.`
      throw new InvalidEventError(path, say`cannot be checked: this schema changes its own output. ${whose}`)
    }),
  )
}

/**
 * Whether a schema returns its own output unchanged. If the output is a copy of the input, it does; otherwise the
 * schema is run again. A promise if the schema is asynchronous.
 *
 * @param given what {@link textBefore} returned for the input, which the schema may have changed in place
 * @throws InvalidEventError if the output is not JSON
 */
export function keeps(
  validate: Validate,
  input: unknown,
  given: string | undefined,
  output: unknown,
  path: string,
): boolean | Promise<boolean> {
  try {
    // If the schema changed it in place, it is the same object; its text from before the check shows the change.
    if (isSameJson(output, input) && given === textBefore(input)) return true
  } catch {
    // A cycle, or a getter that throws.
  }
  const text = toJsonText(output, path)
  const isSame = (result: StandardResult<unknown>) =>
    result.issues === undefined && toJsonText(result.value, '') === text
  try {
    const result = validate(JSON.parse(text))
    return isThenable(result)
      ? Promise.resolve(result)
          .then(isSame)
          .catch(() => false)
      : isSame(result)
  } catch {
    return false
  }
}

/**
 * The text of a value before its schema runs, to see whether the schema changes it; undefined for primitives, and for a
 * value without a text.
 */
export function textBefore(value: unknown): string | undefined {
  if (typeof value !== 'object') return undefined
  try {
    return JSON.stringify(value)
  } catch {
    // Not undefined: such a value may have been changed.
    return `${Math.random()}`
  }
}

/**
 * The mark of an event whose creator ran the schema: of this type, in this version, with this data as the result. Apps
 * keep such events over reloads, so this function must always return the same text for the same event.
 */
export function markOf(type: string, version: number, text: string): string {
  const all = `${type}\n${text}`
  let [one, other] = [1, 2]
  for (let at = 0; at < all.length; at += 1) {
    const unit = all.charCodeAt(at)
    one = Math.imul(one ^ unit, 2654435761)
    other = Math.imul(other ^ unit, 1597334677)
  }
  return `${version}:${(one >>> 0).toString(36)}-${(other >>> 0).toString(36)}`
}

function next<T, R>(value: T | Promise<T>, then: (value: T) => R | Promise<R>): R | Promise<R> {
  return value instanceof Promise ? value.then(then) : then(value)
}

function valueOf(result: StandardResult<unknown>, path: string, plain: string | undefined): unknown {
  if (!isObject(result))
    throw new InvalidEventError(path, say`cannot be validated: its schema returned ${describe(result)}.`)
  const { issues } = result
  if (issues === undefined) return result.value
  const [first] = issues
  const at = (first?.path ?? []).reduce<string>(
    (so, step) => propertyPath(so, typeof step === 'object' ? step.key : step),
    path,
  )
  const others = issues.length > 1 ? say` (and ${issues.length - 1} more, see 'issues')` : ''
  const advice =
    plain === undefined ? '' : say` (if the schema changes its input, make the event with ${creatorName(plain)})`
  throw new InvalidEventError(
    at,
    say`does not fit its schema: ${first?.message ?? say`no reason given`}${others}${advice}`,
    { issues },
  )
}
