/** Shared locks that say "this is in use here", so that nobody deletes it. */
import type { PageLifecycle } from '../platform/page-lifecycle.js'

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
  await hold()
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
