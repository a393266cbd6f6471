/** Running the schemas of events: what comes in is checked, and what is stored must be data that its schema leaves as it is. */
import { InvalidEventError } from '../errors.js'
import { propertyPath, toJsonText } from './json.js'

/** What tidemark needs of a validator: the Standard Schema interface, which zod, valibot, arktype and others have. */
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
 * @param advice added to the message where the schema refuses the value
 * @throws InvalidEventError under the path, from the promise if there is one
 */
export function runSchema(validate: Validate, value: unknown, path: string, advice = ''): unknown {
  const failed = (cause: unknown) => new InvalidEventError(path, 'cannot be validated: its schema threw an error.', { cause })
  let result: ReturnType<Validate>
  try {
    result = validate(value)
  } catch (cause) {
    throw failed(cause)
  }
  if (!isThenable(result)) return valueOf(result, path, advice)
  // A real promise, whatever the library uses.
  return Promise.resolve(result).then(
    (settled) => valueOf(settled, path, advice),
    (cause: unknown) => {
      throw failed(cause)
    },
  )
}

/**
 * Checks data of a plain event, which is data as it is stored. A schema may tidy it (defaults, trimmed strings, keys left out); what
 * it makes of that must stay the same when it is checked again, or the data could have been through the schema already.
 *
 * @returns the tidied data; a promise if the schema is asynchronous
 */
export function storedData(validate: Validate, type: string, data: unknown, path: string): unknown {
  const before = textOf(data)
  const creator = creatorName(type)
  const value = runSchema(validate, data, path, ` (data is checked as it is stored: if the schema changes its input, make the event with ${creator})`)
  const whose = value instanceof Promise ? 'An asynchronous schema must not: change the data before.' : `Make the event with ${creator}.`
  const changes = () => new InvalidEventError(path, `cannot be checked: this schema changes its own output. ${whose}`)
  return next(value, (tidied) => {
    const text = toJsonText(tidied, path)
    return text === before ? tidied : next(keeps(validate, text), (kept) => {
      if (kept) return tidied
      throw changes()
    })
  })
}

/** Whether a schema returns data, given as JSON, as it is. A promise if it is asynchronous; never rejects. */
export function keeps(validate: Validate, text: string): boolean | Promise<boolean> {
  const isSame = (result: StandardResult<unknown>) => result.issues === undefined && textOf(result.value) === text
  try {
    const result = validate(JSON.parse(text))
    return isThenable(result) ? Promise.resolve(result).then(isSame, () => false) : isSame(result)
  } catch {
    return false
  }
}

/** The value as JSON text, if it has any. */
export function textOf(value: unknown): string | undefined {
  try {
    return toJsonText(value, '')
  } catch {
    return undefined
  }
}

/**
 * Says of an event that its creator ran the schema: of this type, in this version, with this data as the result. Events keep it over
 * reloads, so another text for the same event would refuse them.
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

/** Whether this is a promise, of whatever kind. */
export function isThenable<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
}

function next<T, R>(value: T | Promise<T>, then: (value: T) => R | Promise<R>): R | Promise<R> {
  return value instanceof Promise ? value.then(then) : then(value)
}

function valueOf(result: StandardResult<unknown>, path: string, advice: string): unknown {
  const { issues } = result
  if (issues === undefined) return result.value
  const [first] = issues
  const at = (first?.path ?? []).reduce<string>((so, step) => propertyPath(so, typeof step === 'object' ? step.key : step), path)
  const others = issues.length > 1 ? ` (and ${issues.length - 1} more, see 'issues')` : ''
  throw new InvalidEventError(at, `does not fit its schema: ${first?.message ?? 'no reason given'}${others}${advice}`, { issues })
}
