/** What the parts of a body look like, and what they become. */
import { say } from '../messages.js'
import { isObject } from '../platform/objects.js'
import { RequestRefusedError } from './request-refused.js'

/** Returns what becomes of a value. Throws for one that is not as it must be; `path` is where it was found. */
export type Shape<T> = (value: unknown, path: string) => T

export const invalid = (path: string, problem: string): RequestRefusedError =>
  new RequestRefusedError(422, 'invalid-push', say`'${path}' ${problem}`)

/** A value that passes a test, and stays as it is. */
export const valid =
  <T>(test: (value: unknown) => boolean, problem: string): Shape<T> =>
  (value, path) => {
    if (!test(value)) throw invalid(path, problem)
    return value as T
  }

/** What is made of a value. Whatever `make` throws says that it is not valid. */
export const made =
  <T>(make: (value: never) => T): Shape<T> =>
  (value, path) => {
    try {
      return make(value as never)
    } catch {
      throw invalid(path, say`is not valid.`)
    }
  }

/** A value that may be missing, and what stands for it then. */
export const optional =
  <T, D>(shape: Shape<T>, missing: D): Shape<T | D> =>
  (value, path) =>
    value === undefined ? missing : shape(value, path)

export const orNull =
  <T>(shape: Shape<T>): Shape<T | null> =>
  (value, path) =>
    value === null ? null : shape(value, path)

export const list =
  <T>(shape: Shape<T>): Shape<T[]> =>
  (value, path) => {
    if (!Array.isArray(value)) throw invalid(path, say`must be a list.`)
    return value.map((each, index) => shape(each, `${path}[${index}]`))
  }

const isPlain = (value: unknown): value is object => isObject(value) && !Array.isArray(value)

/** A plain object, as names and values. */
export const entries =
  <T>(shape: Shape<T>): Shape<[name: string, value: T][]> =>
  (value, path) => {
    if (!isPlain(value)) throw invalid(path, say`must be an object.`)
    return Object.entries(value).map(([name, each]) => [name, shape(each, `${path}.${name}`)])
  }

/** A plain object with no other properties than these: what is not known might have been meant to restrict something. */
export const object = <S extends Readonly<Record<string, Shape<unknown>>>>(
  shapes: S,
): Shape<{ readonly [N in keyof S]: ReturnType<S[N]> }> => {
  const known = Object.entries(shapes)
  return (value, path) => {
    if (!isPlain(value)) throw invalid(path, say`must be an object.`)
    if (Object.keys(value).some((name) => !Object.hasOwn(shapes, name)))
      throw invalid(path, say`has an unknown property.`)
    const read = known.map(([name, shape]) => [name, shape(value[name as never], `${path}.${name}`)])
    return Object.fromEntries(read) as { [N in keyof S]: ReturnType<S[N]> }
  }
}

export const isWholeFrom = (value: unknown, least: number): boolean =>
  Number.isSafeInteger(value) && (value as number) >= least
