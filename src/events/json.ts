/** What may be stored: only what survives JSON unchanged. */
import { InvalidEventError } from '../errors.js'
import { say } from '../messages.js'
import { isRefusedPromise } from '../platform/promises.js'

/** How deep data may be nested. Far below where engines run out of stack. */
const deepest = 1000

/**
 * The value as JSON text, after checking that JSON keeps all of it.
 *
 * The text is what `JSON.stringify` makes of it, but no `toJSON` that a library put on a prototype is called. A
 * property that is undefined is left out, `-0` becomes 0. What is not enumerable, with a string or a symbol as its key,
 * is not part of the data and is left out too: state libraries keep their own properties there. An enumerable symbol is
 * refused, and so is `Symbol.toStringTag`, which distinguishes `Math` and modules from plain objects.
 *
 * @param path how messages call the value, such as `events[2].data`
 * @throws InvalidEventError with the path of the property, for everything that is not a JSON value
 */
export function toJsonText(value: unknown, path: string): string {
  const quick = quickText(value)
  if (quick !== undefined) return quick
  const walk: Walk = { keys: [], ancestors: [] }
  try {
    return JSON.stringify(bare(value, walk))
  } catch (error) {
    const at = walk.keys.reduce<string>(propertyPath, path)
    if (error instanceof Unfit) throw new InvalidEventError(at, error.problem)
    // Thrown by a proxy, or by the engine because the text is too long or the stack too deep.
    throw new InvalidEventError(at, say`throws when it is read.`, { cause: error })
  }
}

/** The path of a property: `a.b`, `a[0]` or `a["odd key"]`. */
export function propertyPath(path: string, key: PropertyKey): string {
  if (typeof key !== 'string') return `${path}[${String(key)}]`
  return /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(key) ? `${path}.${key}` : `${path}[${JSON.stringify(key)}]`
}

/** Whether two JSON values are the same. The order of properties does not count. */
export function isSameJson(one: unknown, other: unknown): boolean {
  if (typeof one !== 'object' || typeof other !== 'object' || one === null || other === null || one === other)
    return one === other
  const keys = Object.keys(one)
  return (
    Array.isArray(one) === Array.isArray(other) &&
    keys.length === Object.keys(other).length &&
    keys.every((key) => Object.hasOwn(other, key) && isSameJson(one[key as never], other[key as never]))
  )
}

/** Whether this is `null` or the `Object.prototype` of any realm, such as another frame's. */
export function isPlainPrototype(prototype: object | null): boolean {
  return (
    prototype === null ||
    prototype === Object.prototype ||
    (Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype, 'isPrototypeOf'))
  )
}

/**
 * The text by `JSON.stringify` for ordinary data, in half the time; undefined for everything else, which {@link bare}
 * checks more closely.
 */
function quickText(value: unknown): string | undefined {
  // Lists inherit from `Object.prototype`, too. `JSON.stringify` never asks a string, a number or a boolean for a
  // `toJSON`.
  if ('toJSON' in Array.prototype) return undefined
  try {
    // A proxy may return anything here: the result is JSON text, or undefined.
    return isOrdinary(value, { objects: deepest }) ? (JSON.stringify(value) as string | undefined) : undefined
  } catch {
    return undefined
  }
}

/**
 * Whether this is plain data of this realm that JSON keeps. Also false if there are many objects, which covers deep
 * data and cycles.
 */
function isOrdinary(value: unknown, left: { objects: number }): boolean {
  if (typeof value !== 'object')
    return (
      typeof value === 'string' || typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value))
    )
  if (value === null) return true
  const isArray = Array.isArray(value)
  if (
    Object.getPrototypeOf(value) !== (isArray ? Array.prototype : Object.prototype) ||
    (left.objects -= 1) < 0 ||
    'toJSON' in value
  )
    return false
  const keys = Object.keys(value)
  // Names come after indexes: if the number of keys is the length and the last key is an index, there are neither holes
  // nor names.
  if (isArray && (keys.length !== value.length || (keys.at(-1) ?? '-1') !== `${keys.length - 1}`)) return false
  for (const key of keys) {
    const { value: property, get, set } = Object.getOwnPropertyDescriptor(value, key) as PropertyDescriptor
    if (get !== undefined || set !== undefined) return false
    if (!isOrdinary(property, left) && (isArray || property !== undefined)) return false
  }
  return Object.getOwnPropertySymbols(value).length === 0
}

/** The current place of the walk. Both stay as they are when it throws. */
interface Walk {
  readonly keys: (string | number)[]
  readonly ancestors: object[]
}

/** Not an `Error`: creating a stack trace, which is never shown, takes longer than the check. */
class Unfit {
  constructor(readonly problem: string) {}
}

/** What JSON keeps of a value. Its objects and lists have no prototype, so that no `toJSON` is found there. */
function bare(value: unknown, walk: Walk): unknown {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value
    case 'number':
      if (!Number.isFinite(value)) throw new Unfit(say`is ${value}, which JSON turns into null.`)
      return value
    case 'object':
      return value === null ? null : bareObject(value, walk)
    case 'undefined':
      throw new Unfit(say`is undefined, which JSON does not have. Use null.`)
    case 'bigint':
      throw new Unfit(say`is a bigint, which JSON does not have. Use a string.`)
    default:
      throw new Unfit(say`is a ${typeof value}, which cannot be stored.`)
  }
}

function bareObject(value: object, walk: Walk): object {
  const { ancestors } = walk
  if (ancestors.includes(value)) throw new Unfit(say`is a cycle: it refers to an object that contains it.`)
  if (ancestors.length >= deepest) throw new Unfit(say`is nested more than ${deepest} levels deep.`)
  ancestors.push(value)
  const copy = Array.isArray(value) ? bareList(value, walk) : barePlain(value, walk)
  ancestors.pop()
  return copy
}

function bareList(value: readonly unknown[], walk: Walk): object {
  if (!isArrayPrototype(Object.getPrototypeOf(value))) throw new Unfit(instanceProblem(value))
  const { length } = value
  const copy: unknown[] = []
  let indexes = 0
  for (let index = 0; index < length; index += 1) {
    walk.keys.push(index)
    const descriptor = Object.getOwnPropertyDescriptor(value, index)
    if (descriptor === undefined) throw new Unfit(say`is a hole in an array, which JSON turns into null.`)
    if (descriptor.enumerable) indexes += 1
    copy.push(bare(valueOf(descriptor), walk))
    walk.keys.pop()
  }
  // Indexes come first, so a further key is a name.
  const name = Object.keys(value)[indexes]
  if (name !== undefined) {
    walk.keys.push(name)
    throw new Unfit(say`is a named property of an array, which JSON leaves out.`)
  }
  refuseSymbols(value)
  return Object.setPrototypeOf(copy, null) as object
}

function barePlain(value: object, walk: Walk): object {
  if (!isPlainPrototype(Object.getPrototypeOf(value))) throw new Unfit(instanceProblem(value))
  refuseSymbols(value)
  const copy: Record<string, unknown> = Object.create(null)
  for (const key of Object.keys(value)) {
    walk.keys.push(key)
    const descriptor = Object.getOwnPropertyDescriptor(value, key)
    const property = descriptor === undefined ? undefined : valueOf(descriptor)
    if (key === 'toJSON' && typeof property === 'function')
      throw new Unfit(say`is a method that replaces the object in JSON. Call it first.`)
    if (property !== undefined) copy[key] = bare(property, walk)
    walk.keys.pop()
  }
  return copy
}

/** Never calls a getter, which may return something else the next time. */
function valueOf(descriptor: PropertyDescriptor): unknown {
  if (descriptor.get !== undefined || descriptor.set !== undefined)
    throw new Unfit(
      say`is a getter or setter. Copy its value into a plain object, as toJS of MobX and unwrap of Solid do.`,
    )
  return descriptor.value
}

function refuseSymbols(value: object): void {
  const symbol = Object.getOwnPropertySymbols(value).find(
    (key) => key === Symbol.toStringTag || Object.getOwnPropertyDescriptor(value, key)?.enumerable,
  )
  if (symbol !== undefined) throw new Unfit(say`has the key ${String(symbol)}, and JSON leaves symbols out.`)
}

/** `Array.prototype` is itself an array, in every realm; the prototypes of subclasses are not. */
function isArrayPrototype(prototype: unknown): boolean {
  return (
    prototype === Array.prototype || (Array.isArray(prototype) && isPlainPrototype(Object.getPrototypeOf(prototype)))
  )
}

function instanceProblem(value: object): string {
  isRefusedPromise(value)
  const { name } = (value.constructor ?? {}) as { name?: unknown }
  const what =
    typeof name === 'string' && name !== '' && name !== 'Object'
      ? say`an instance of ${name}`
      : say`an object with a prototype of its own`
  return say`is ${what}, which JSON does not keep. Store plain objects, arrays, strings, numbers, booleans and null.`
}
