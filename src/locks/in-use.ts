/** Shared locks that mark a database as in use, so that no other context deletes it. */
import { feature } from '../platform/features.js'
import type { PageLifecycle } from '../platform/page-lifecycle.js'

/** The lock manager of this context; `undefined` in Node and in pages without a secure connection. */
export const lockManager = (): LockManager | undefined => feature(({ navigator }) => navigator?.locks)

/**
 * Requests a shared lock, and holds it until the returned function is called. No caller waits for the lock: a database
 * that is deleted before the lock is held is created again, as is one that was deleted under a frozen page. A page that
 * goes away releases the lock, because a held lock keeps pages out of the back/forward cache, and requests it again
 * when it comes back.
 */
export function holdInUse(
  locks: LockManager | undefined,
  name: string,
  lifecycle: PageLifecycle | undefined,
): () => void {
  if (locks === undefined) return () => {}
  let release: (() => void) | undefined
  const hold = () => {
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    // Refused if the document is no longer active; then there is nothing to protect.
    const request = async () => locks.request(name, { mode: 'shared' }, () => held)
    request().catch(() => {})
  }
  const letGo = () => {
    release?.()
    release = undefined
  }
  hold()
  const unsubscribe = lifecycle?.subscribe((presence) => {
    if (presence === 'away') letGo()
    else if (release === undefined) hold()
  })
  return () => {
    unsubscribe?.()
    letGo()
  }
}

/** Runs `work` if no context holds the name in use. Resolves with whether it did. */
export async function ifUnused(locks: LockManager, name: string, work: () => Promise<void>): Promise<boolean> {
  return (await locks.request(name, { ifAvailable: true }, async (lock) => {
    if (lock !== null) await work()
    return lock !== null
  })) as boolean
}
