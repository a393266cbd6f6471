/** Who is notified when the outbox changes: listeners of this context, and other contexts by hints. */
import { hintPause } from '../log/head-watch.js'
import type { Clock } from '../platform/clock.js'
import { lookOut } from '../platform/lookout.js'
import { isObject } from '../platform/objects.js'
import { openChannel } from '../platform/signals.js'
import { nextTask, tell } from '../platform/tasks.js'
import { isNewer, stampOf } from './change-rules.js'
import type { OutboxStamp } from './device-storage.js'
import type { OutboxCopy } from './outbox-copy.js'

/** How often the stamp is read while there are listeners, in ms. */
const lookEvery = 5000

type Listener = () => void | Promise<void>

/** The copy that hints are compared with. */
interface Known {
  readonly current: OutboxCopy | undefined
  fresh(): Promise<OutboxCopy>
  /** For those who wait, if there are some. */
  look(): void
}

export class OutboxNews {
  readonly #clock: Clock
  readonly #known: Known
  readonly #channel: BroadcastChannel | undefined
  readonly #listeners = new Set<{ readonly call: Listener; readonly isOfAppends: boolean }>()
  #stopLooking = () => {}
  #posted: OutboxStamp | undefined
  #deafUntil = -Infinity

  constructor(clock: Clock, channelName: string | undefined, known: Known) {
    this.#clock = clock
    this.#known = known
    this.#channel = openChannel(channelName, (message) => void this.#hinted(message).catch(() => {}))
  }

  get isWanted(): boolean {
    return this.#listeners.size > 0
  }

  /** Calls back after each change, or only after those by which a commit was appended. Returns how to stop that. */
  listen(call: Listener, isOfAppends = false): () => void {
    const own = { call, isOfAppends }
    if (!this.isWanted) this.#stopLooking = lookOut(this.#clock, lookEvery, () => this.#known.look())
    this.#listeners.add(own)
    return () => {
      if (this.#listeners.delete(own) && !this.isWanted) this.#stopLooking()
    }
  }

  /** Resolves when the listeners of this context have noticed. */
  async tell(isAppended: boolean): Promise<void> {
    const noticed: (void | Promise<void>)[] = []
    for (const { call, isOfAppends } of [...this.#listeners])
      if (isAppended || !isOfAppends) tell(() => void noticed.push(call()))
    await Promise.all(noticed.map((each) => Promise.resolve(each).catch(() => {})))
  }

  /** Notifies the other contexts in the next task, once for all that was stored by then. */
  post(stamp: OutboxStamp): void {
    const isPosting = this.#posted !== undefined
    this.#posted = stamp
    if (this.#channel === undefined || isPosting) return
    void nextTask().then(() => {
      const posted = this.#posted
      this.#posted = undefined
      try {
        this.#channel?.postMessage(posted)
      } catch {
        // Closed meanwhile: the look at intervals makes up for it.
      }
    })
  }

  close(): void {
    this.#stopLooking()
    this.#listeners.clear()
    this.#channel?.close()
  }

  /** Any script of the origin can post here: it is only a reason to look, once a second where it is not true. */
  async #hinted(message: unknown): Promise<void> {
    if (!isObject(message)) return
    const { turn, largestN } = message as Partial<OutboxStamp>
    if (!Number.isSafeInteger(turn) || !Number.isSafeInteger(largestN)) return
    const claimed = { turn, largestN } as OutboxStamp
    const { current } = this.#known
    // Without a copy there is nothing that could be old.
    if (current === undefined || this.#clock.monotonic() < this.#deafUntil) return
    if (!isNewer(claimed, stampOf(current))) return
    if (isNewer(claimed, stampOf(await this.#known.fresh()))) this.#deafUntil = this.#clock.monotonic() + hintPause
  }
}
