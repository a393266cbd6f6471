/** Time that stands still for as long as a test needs: then nothing ends because a busy machine took too long. */
import { systemClock, type Clock } from '../../src/platform/clock.js'

export interface HeldClock extends Clock {
  /** From now on timers run, those that wait already too, by the clock of this context. */
  release(): void
}

/** The clock of this context, whose timers wait until it is released. */
export function heldClock(): HeldClock {
  const waiting = new Set<{ readonly ms: number; readonly callback: () => void; cancel: () => void }>()
  let isHeld = true
  return {
    ...systemClock,
    schedule(ms, callback) {
      if (!isHeld) return systemClock.schedule(ms, callback)
      const timer = { ms, callback, cancel: () => void waiting.delete(timer) }
      waiting.add(timer)
      return () => timer.cancel()
    },
    release() {
      isHeld = false
      for (const timer of waiting) timer.cancel = systemClock.schedule(timer.ms, timer.callback)
      waiting.clear()
    },
  }
}
