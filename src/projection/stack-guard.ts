/**
 * Tells whether the code that asks was called by a handler: a handler that waits for its own projection would wait for
 * ever.
 */
import { nextTask } from '../platform/tasks.js'

/** One call of a handler. */
export interface Invocation {
  ended: boolean
}

/**
 * Knows when a handler is at work. No engine tells who called across an `await` yet, so after its first one a caller
 * can only be suspected: until the next task mostly the handler's own continuations run, but not only they.
 */
export interface StackGuard {
  /** Calls a handler. Call `leave` when it has ended. */
  call<T>(handler: () => T): T
  /** The handler continues after a wait. */
  resume(): void
  leave(): void
  /** `true`: the caller is a handler. An invocation: it may be that one. */
  caller(): true | Invocation | undefined
}

export function stackGuard(): StackGuard {
  let inside = false
  let current: Invocation | undefined
  let recent = false
  let posted = false
  const passed = () => {
    posted = recent = false
  }
  const resume = () => {
    recent = true
    if (posted) return
    posted = true
    void nextTask().then(passed)
  }
  return {
    call(handler) {
      current = { ended: false }
      inside = true
      resume()
      try {
        return handler()
      } finally {
        inside = false
      }
    },
    resume,
    leave() {
      if (current !== undefined) current.ended = true
      current = undefined
    },
    caller: () => (inside ? true : recent ? current : undefined),
  }
}

/** Calls a handler under the guard, to its end. */
export function guarded(guard: StackGuard, handler: () => void | Promise<void>): void | Promise<void> {
  let waiting: void | Promise<void>
  try {
    waiting = guard.call(handler)
  } catch (error) {
    guard.leave()
    throw error
  }
  if (waiting === undefined) guard.leave()
  else waiting.then(guard.leave, guard.leave)
  return waiting
}
