/** Tells failures of the storage from those of a handler: for the former no event is to blame. */
import { isObject } from '../platform/objects.js'

interface StorageErrors {
  /** What the storage is asked. If that rejects, the error is remembered as the storage's. */
  of<T>(answer: Promise<T>): Promise<T>
  /** Whether an error is the storage's. */
  has(error: unknown): boolean
}

export function storageErrors(): StorageErrors {
  const known = new WeakSet<object>()
  return {
    of: (answer) =>
      answer.catch((error: unknown) => {
        if (isObject(error)) known.add(error)
        throw error
      }),
    has: (error) => known.has(error as object),
  }
}
