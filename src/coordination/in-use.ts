/** Shared locks that say "this is in use here", so that nobody deletes it. */
import { systemClock } from '../platform/clock.js'
import { startDeadline } from '../platform/deadline.js'
import type { PageLifecycle } from '../platform/page-lifecycle.js'

/** How long the lock is waited for, ms. */
const holdDeadline = 2_000

/** The lock manager of this context; `undefined` in Node and in pages that are not served securely. */
export function lockManager(): LockManager | undefined {
  return typeof navigator === 'object' ? navigator.locks : undefined
}

/**
 * Holds a shared lock until the returned function is called. Resolves once it is held, at once without Web Locks. A page
 * that goes away lets go of it, because a held lock keeps pages out of the back/forward cache (H54), and takes it again
 * when it comes back.
 */
export async function holdInUse(locks: LockManager | undefined, name: string, lifecycle: PageLifecycle | undefined): Promise<() => void> {
  if (locks === undefined) return () => {}
  let release: (() => void) | undefined
  const hold = () =>
    new Promise<void>((granted) => {
      let free = () => {}
      const held = new Promise<void>((resolve) => {
        free = resolve
      })
      release = free
      // Refused where the document is not active any more; then there is nothing to protect.
      locks.request(name, { mode: 'shared' }, () => (granted(), held)).catch(() => granted())
    })
  const letGo = () => {
    release?.()
    release = undefined
  }
  // Held by a deletion that waits for a tab, perhaps: then opening says so, after its own deadline.
  let cancel = () => {}
  await Promise.race([hold(), new Promise<void>((late) => { cancel = startDeadline(systemClock, holdDeadline, late) })])
  cancel()
  const unsubscribe = lifecycle?.subscribe((presence) => {
    if (presence === 'away') letGo()
    else if (release === undefined) void hold()
  })
  return () => {
    unsubscribe?.()
    letGo()
  }
}

/** Runs `work` if nobody, in any context, holds the name in use. */
export async function ifUnused(locks: LockManager, name: string, work: () => Promise<void>): Promise<void> {
  await locks.request(name, { ifAvailable: true }, async (lock) => {
    if (lock !== null) await work()
  })
}
