/** Handing leadership over: by a page that goes away, and by a hidden page to a visible one. */
import type { PageLifecycle } from '../platform/page-lifecycle.js'

/** What pages post to each other about who should lead. Hints: a lost one only keeps a hidden page leading. */
export interface LeadershipHints {
  post(kind: 'hidden-leader' | 'candidate'): void
  listen(listener: (kind: 'hidden-leader' | 'candidate') => void): () => void
}

/** Why a leader stopped although nothing failed. */
export class HandedOver {
  constructor(readonly to: 'hidden' | 'away') {}
}

/** Resolves when the page can lead: not while it is frozen or in the back/forward cache. */
export function whenHere(lifecycle: PageLifecycle | undefined, signal: AbortSignal): Promise<void> {
  if (lifecycle === undefined || lifecycle.presence() !== 'away') return Promise.resolve()
  return new Promise((resolve) => {
    const check = () => {
      if (!signal.aborted && lifecycle.presence() === 'away') return
      unsubscribe()
      signal.removeEventListener('abort', check)
      resolve()
    }
    const unsubscribe = lifecycle.subscribe(check)
    signal.addEventListener('abort', check, { once: true })
  })
}

/**
 * Ends the attempt when the page goes away, or when it is hidden and a visible page would lead. Returns how to stop
 * that.
 */
export function followPage(
  {
    lifecycle,
    hints,
  }: { readonly lifecycle?: PageLifecycle | undefined; readonly hints?: LeadershipHints | undefined },
  attempt: AbortController,
  leader: { leads(): boolean; leave(): void; mayHandOver(): boolean },
): () => void {
  if (lifecycle === undefined) return () => {}
  const unsubscribe = lifecycle.subscribe((presence) => {
    if (presence === 'away') {
      attempt.abort(new HandedOver('away'))
      leader.leave()
    } else if (leader.leads() && presence === 'hidden') hints?.post('hidden-leader')
    else if (!leader.leads() && presence === 'visible') hints?.post('candidate')
  })
  const stopListening = hints?.listen((kind) => {
    const presence = lifecycle.presence()
    if (kind === 'hidden-leader' && !leader.leads() && presence === 'visible') hints.post('candidate')
    if (kind === 'candidate' && leader.leads() && presence === 'hidden' && leader.mayHandOver())
      attempt.abort(new HandedOver('hidden'))
  })
  return () => {
    unsubscribe()
    stopListening?.()
  }
}
