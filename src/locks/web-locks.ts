/**
 * Leadership across tabs and workers of one origin, by Web Locks. It only saves work: correctness depends on the commit
 * alone.
 */
import type { Coordinator, Guard } from '../ports.js'
import { acquireOptions } from './in-process.js'

/** A coordinator over a lock manager. Every lock name starts with `prefix`, so none starts with '-'. */
export function webLocksCoordinator(locks: LockManager, prefix: string): Coordinator {
  const request = (name: string, options: LockOptions): Promise<Guard | undefined> =>
    new Promise((resolve, reject) => {
      const lost = new AbortController()
      locks
        .request(prefix + name, options, (lock) => {
          if (lock === null) return resolve(undefined)
          return new Promise<void>((free) => resolve({ lost: lost.signal, release: () => free() }))
        })
        // Before the grant this is a refusal or an abort; after it, the lock was stolen (H60).
        .catch((error: unknown) => {
          lost.abort(error)
          reject(error)
        })
    })
  return {
    tryAcquire: (name) => request(name, { ifAvailable: true }),
    async acquire(name, options = {}) {
      const { signal } = acquireOptions(options)
      signal?.throwIfAborted()
      return (await request(name, signal === undefined ? {} : { signal })) as Guard
    },
    isHeld: async (name) => ((await locks.query()).held ?? []).some((lock) => lock.name === prefix + name),
  }
}
