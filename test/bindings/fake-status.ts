/** A status that a test sets. */
import type { StatusStore } from 'tidemark'

export interface FakeStatus extends StatusStore<string> {
  readonly listeners: ReadonlySet<() => void>
  set(value: string): void
}

export function fakeStatus(): FakeStatus {
  let value = 'idle'
  const listeners = new Set<() => void>()
  return {
    listeners,
    set(next) {
      value = next
      for (const listener of listeners) listener()
    },
    subscribe(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    getSnapshot: () => value,
    getServerSnapshot: () => 'unknown',
  }
}
