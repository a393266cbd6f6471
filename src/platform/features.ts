/** What this context may offer or not. */

/**
 * What `ask` finds, or nothing. A feature may be missing, be `null` (test environments, old engines), or throw when it
 * is asked for (frames without an origin, blocked storage): each means that it is not there.
 */
export function feature<T>(ask: (here: typeof globalThis) => T | null | undefined): T | undefined {
  try {
    return ask(globalThis) ?? undefined
  } catch {
    return undefined
  }
}
