/** From hints that anybody may send to calls that can be believed: the head, whenever it really moved (H63, H68). */
import type { Clock } from '../platform/clock.js'
import { listenerSet } from '../platform/listeners.js'

/** After a hint that was not true, the next look comes so many ms later at the earliest. A slow poll is no faster. */
export const distrustFor = 1000

export interface HeadWatch {
  /** The log is known to reach this far: this context appended, or looked. */
  saw(head: number): void
  /** Somebody says that the log reaches this far. */
  heard(head: number): void
  subscribe(listener: (head: number) => void): () => void
  stop(): void
}

/**
 * A hint is looked into once per burst, and only if somebody listens. So no hint, however large, hides the ones after it,
 * and no flood of them makes more than one read at a time, or one a second once it was caught lying.
 *
 * @param look answers the head of the log
 */
export function headWatch(clock: Pick<Clock, 'schedule'>, look: () => Promise<number>): HeadWatch {
  const listeners = listenerSet<[head: number]>()
  let told = 0
  let looking = false
  let stopped = false
  /** The largest head that was heard of since the last look began. */
  let claimed = 0
  let cancelPause: (() => void) | undefined
  const saw = (head: number) => {
    if (head <= told) return
    told = head
    listeners.tell(head)
  }
  const lookInto = async () => {
    if (stopped || looking || cancelPause !== undefined || claimed <= told || listeners.size === 0) return
    looking = true
    const claim = claimed
    claimed = 0
    try {
      const head = await look()
      saw(head)
      // Hints are sent after the commit, so what they say is true at once or never.
      if (head < claim) pause()
    } catch {
      // The hint may be true: it is looked into again.
      claimed = Math.max(claimed, claim)
      pause()
    } finally {
      looking = false
    }
    void lookInto()
  }
  const pause = () => {
    if (!stopped)
      cancelPause = clock.schedule(distrustFor, () => {
        cancelPause = undefined
        void lookInto()
      })
  }
  return {
    saw,
    heard(head) {
      claimed = Math.max(claimed, head)
      void lookInto()
    },
    subscribe: listeners.add,
    stop() {
      stopped = true
      cancelPause?.()
      listeners.clear()
    },
  }
}
