/**
 * Leadership within one JavaScript realm: first come, first served. For the memory backend, and for contexts without
 * Web Locks.
 */
import { assertSignal, onlyKnown } from '../platform/arguments.js'
import type { Coordinator, Guard } from '../ports.js'

/** @throws InvalidArgumentError for an unknown option: a misspelt signal would never end the wait */
export function acquireOptions(options: { readonly signal?: AbortSignal }): typeof options {
  onlyKnown(options, ['signal'])
  assertSignal(options.signal)
  return options
}

/** A coordinator that shares its names with no other one. */
export function inProcessCoordinator(): Coordinator {
  const queues = new Map<string, (() => void)[]>()
  const guard = (name: string): Guard => {
    let released = false
    return {
      release() {
        if (released) return
        released = true
        const next = queues.get(name)?.shift()
        if (next === undefined) queues.delete(name)
        else next()
      },
    }
  }
  const guardIfFree = (name: string): Guard | undefined => {
    if (queues.has(name)) return undefined
    queues.set(name, [])
    return guard(name)
  }
  return {
    isHeld: async (name) => queues.has(name),
    tryAcquire: async (name) => guardIfFree(name),
    async acquire(name, options = {}) {
      const { signal } = acquireOptions(options)
      signal?.throwIfAborted()
      const free = guardIfFree(name)
      if (free !== undefined) return free
      const waiting = queues.get(name) as (() => void)[]
      return new Promise((resolve, reject) => {
        const granted = () => {
          signal?.removeEventListener('abort', aborted)
          resolve(guard(name))
        }
        const aborted = () => {
          const at = waiting.indexOf(granted)
          if (at >= 0) waiting.splice(at, 1)
          reject(signal?.reason)
        }
        waiting.push(granted)
        signal?.addEventListener('abort', aborted, { once: true })
      })
    },
  }
}
