/** Shared locks that say "this is in use here", so that nobody deletes it. */
import { feature } from '../platform/features.js'
import type { PageLifecycle } from '../platform/page-lifecycle.js'

/** The lock manager of this context; `undefined` in Node and in pages that are not served securely. */
export const lockManager = (): LockManager | undefined => feature(({ navigator }) => navigator.locks)

/**
 * Asks for a shared lock, and holds it until the returned function is called. Nobody waits for it: what is deleted before it is held
 * is made again, as is what was deleted under a frozen page. A page that goes away lets go of it, because a held lock keeps pages
 * out of the back/forward cache, and takes it again when it comes back.
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
    // Refused where the document is not active any more; then there is nothing to protect.
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

/** Runs `work` if nobody, in any context, holds the name in use. */
export async function ifUnused(locks: LockManager, name: string, work: () => Promise<void>): Promise<void> {
  await locks.request(name, { ifAvailable: true }, async (lock) => {
    if (lock !== null) await work()
  })
}
