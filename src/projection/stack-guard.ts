/** Tells whether the code that asks was called by a handler: a handler that waits for its own projection would wait for ever (N28). */
import { nextTask } from '../platform/tasks.js'

/** Knows when a handler is at work. */
export interface StackGuard {
  /** A handler is called, or goes on with what it was given. */
  enter(): void
  /** The handler ended. */
  leave(): void
  /** The caller is a handler, as far as can be known: not after it awaited something that tidemark knows nothing of. */
  active(): boolean
}

/**
 * No engine tells who called across an `await` yet. But until the next task only the handler's own continuations run, so
 * "a handler was entered, and no task has passed since" is nearly the same, and costs one posted task a slice.
 */
export function stackGuard(): StackGuard {
  let active = false
  let posted = false
  const clear = () => {
    posted = active = false
  }
  return {
    enter() {
      active = true
      if (posted) return
      posted = true
      void nextTask().then(clear)
    },
    leave() {
      active = false
    },
    active: () => active,
  }
}

/** Calls a handler under the guard. */
export function guarded(guard: StackGuard, handler: () => void | Promise<void>): void | Promise<void> {
  guard.enter()
  let waiting: void | Promise<void>
  try {
    waiting = handler()
  } catch (error) {
    guard.leave()
    throw error
  }
  if (waiting === undefined) guard.leave()
  else waiting.then(guard.leave, guard.leave)
  return waiting
}
