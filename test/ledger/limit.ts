/** Waits that end. */
import { setTimeout as sleep } from 'node:timers/promises'

/** What a wait for something that may never answer came to. */
export type Limited<T> =
  | { readonly state: 'done'; readonly value: T }
  | { readonly state: 'failed'; readonly error: unknown }
  | { readonly state: 'late' }

/** Waits for at most `ms`. Never rejects, so that what is killed meanwhile needs no other care. */
export async function limited<T>(work: Promise<T>, ms: number): Promise<Limited<T>> {
  const timer = new AbortController()
  const done = work.then(
    (value): Limited<T> => ({ state: 'done', value }),
    (error: unknown): Limited<T> => ({ state: 'failed', error }),
  )
  const late = sleep(ms, { state: 'late' } as const, { signal: timer.signal }).catch(() => ({ state: 'late' }) as const)
  const first = await Promise.race([done, late])
  timer.abort()
  return first
}
