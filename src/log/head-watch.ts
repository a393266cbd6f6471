/**
 * Turns hints, which any script of the origin may send, into calls that are true: the head, whenever it really moved.
 */
import type { Clock } from '../platform/clock.js'
import { listenerSet } from '../platform/listeners.js'
import { lookOut } from '../platform/lookout.js'

/** After a hint that was not true, the head is not read for this many ms. A slow poll is no faster. */
export const hintPause = 1000
/** How often the head is read while the log is followed, in ms. */
const lookEvery = 5000

export interface HeadWatch {
  /** The log is known to reach this far: this context appended, or looked. */
  saw(head: number): void
  /** A hint says that the log reaches this far. */
  hinted(head: number): void
  subscribe(listener: (head: number) => void): () => void
  /**
   * Calls back when the log may have grown, also where the hints are lost: then a look at regular intervals finds it, or
   * fails: then there is no head.
   */
  follow(listener: (head?: number) => void): () => void
  stop(): void
}

/**
 * A hint is checked once per burst, and only if there are listeners. So no hint, however large, hides the ones after
 * it, and no flood of them makes more than one read at a time, or one a second once it was caught lying.
 *
 * @param readHead returns the head of the log
 */
export function headWatch(clock: Pick<Clock, 'schedule'>, readHead: () => Promise<number>): HeadWatch {
  const listeners = listenerSet<[head: number]>()
  const followers = listenerSet<[head?: number]>()
  let stopLooking = () => {}
  let looking = false
  let announced = 0
  let checking = false
  let stopped = false
  /** The largest head that a hint named since the last check began. */
  let claimed = 0
  let cancelPause: (() => void) | undefined
  const saw = (head: number) => {
    if (head <= announced) return
    announced = head
    listeners.tell(head)
  }
  const checkHint = async () => {
    if (stopped || checking || cancelPause !== undefined || claimed <= announced || listeners.size === 0) return
    checking = true
    const claim = claimed
    claimed = 0
    try {
      const head = await readHead()
      saw(head)
      // Hints are sent after the commit, so what they say is true immediately or never.
      if (head < claim) pause()
    } catch {
      // The hint may be true: it is looked into again.
      claimed = Math.max(claimed, claim)
      pause()
    } finally {
      checking = false
    }
    void checkHint()
  }
  const look = async () => {
    if (looking) return
    looking = true
    // Those who follow find out by themselves what fails.
    await readHead().then(saw, () => followers.tell())
    looking = false
  }
  const pause = () => {
    if (!stopped)
      cancelPause = clock.schedule(hintPause, () => {
        cancelPause = undefined
        void checkHint()
      })
  }
  return {
    saw,
    hinted(head) {
      claimed = Math.max(claimed, head)
      void checkHint()
    },
    subscribe: listeners.add,
    follow(listener) {
      if (followers.size === 0) stopLooking = lookOut(clock, lookEvery, () => void look())
      const remove = [listeners.add(listener), followers.add(listener)]
      return () => {
        for (const each of remove) each()
        if (followers.size === 0) stopLooking()
      }
    },
    stop() {
      stopped = true
      stopLooking()
      cancelPause?.()
      listeners.clear()
    },
  }
}
