/** A status that a test sets. */
import type { StatusStore } from 'tidemark'

export interface FakeStatus<S = string> extends StatusStore<S> {
  readonly listeners: ReadonlySet<() => void>
  set(value: S): void
}

export function fakeStatus(): FakeStatus
export function fakeStatus<S>(first: S, server?: S): FakeStatus<S>
export function fakeStatus<S>(first = 'idle' as S, server = 'unknown' as S): FakeStatus<S> {
  let value = first
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
    getServerSnapshot: () => server,
  }
}
