/** For the compiler: whether the events of an app are JSON. */
import type { EventShape } from './event.js'

/** Types that JSON cannot represent. */
type Foreign = bigint | symbol | undefined | ((...given: never[]) => unknown)

/** `T` with `never` in the places that JSON does not keep. `unknown` and `any` are checked at run time instead. */
type Json<T, Absent = never> = unknown extends T
  ? T
  : T extends string | number | boolean | null | Absent
    ? T
    : T extends Foreign
      ? never
      : T extends readonly unknown[]
        ? readonly (Json<ItemOf<T>> | MissingIn<T>)[]
        : // JSON leaves out a property that is undefined. Keys that are symbols are how types are branded: no value has them.
          { [K in keyof T]: K extends symbol ? T[K] : Json<T[K], undefined> }

/**
 * A mapped tuple would be resolved immediately, which never ends for types that contain themselves; a list is resolved
 * when it is needed.
 */
type ItemOf<T extends readonly unknown[]> = number extends T['length'] ? T[number] : Required<T>[number]

/** An item of a tuple that may be missing reads as undefined. */
type MissingIn<T extends readonly unknown[]> = T['length'] extends Required<T>['length'] ? never : undefined

/** The paths in `T` to the first values that JSON does not keep, at most a few levels deep. */
type Place<T, At extends string, Depth extends readonly unknown[] = []> = [T] extends [Json<T>]
  ? never
  : Depth['length'] extends 4
    ? At
    : T extends Foreign | Date | RegExp | Error | Blob | URL | { readonly [Symbol.toStringTag]: string }
      ? At
      : T extends readonly (infer Item)[]
        ? Place<Item, `${At}[]`, [...Depth, 0]>
        : T extends object
          ? {
              [K in keyof T & (string | number)]-?: Place<Exclude<T[K], undefined>, `${At}.${K}`, [...Depth, 0]>
            }[keyof T & (string | number)]
          : never

/** Names what of the events is not JSON, for error messages; `never` if they all are. */
export type NotJson<E extends EventShape> = E extends EventShape
  ? `${Place<E['data'], `${E['type']}.data`> | Place<Exclude<E['meta'], undefined>, `${E['type']}.meta`>} is not JSON`
  : never
