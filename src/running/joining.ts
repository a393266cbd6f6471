/** Joining a projection to its store, immediately and again after a failure. */
import type { EventShape } from '../events/event.js'
import { optional } from '../platform/promises.js'
import type { ProjectionControls } from '../projection/target.js'
import type { Attached } from './attach.js'

/** One projection and its store, joined as soon as that succeeds. */
export class Joining<E extends EventShape> {
  readonly #attach: () => Promise<Attached<E>>
  readonly #stopping: AbortSignal
  readonly #done: () => void
  /** The try under way, or the last one. */
  latest: Promise<Attached<E>>
  /** Absent until it was joined once. */
  attached: Attached<E> | undefined
  /**
   * The last try failed: the storage did, or another definition of that name is in use. A call of the app tries again.
   */
  failed = false

  /** @param done called after each try that succeeded: a run that waits because joining failed can continue */
  constructor(attach: () => Promise<Attached<E>>, stopping: AbortSignal, done: () => void) {
    this.#attach = attach
    this.#stopping = stopping
    this.#done = done
    this.latest = this.#try()
  }

  /** Tries again if the last try failed. */
  retry(): void {
    if (this.failed) this.latest = this.#try()
  }

  /** For a call of the app: what failed before is tried again immediately. */
  async urgent(): Promise<Attached<E>> {
    if (!this.#stopping.aborted) this.retry()
    const attached = await this.latest
    attached.retryNow()
    return attached
  }

  /** What a call of the app acts on, once the storage opens. */
  async controls(): Promise<Attached<E>['target'] & ProjectionControls> {
    const { target, backend } = await this.urgent()
    await backend.reopen?.({ urgent: true })
    return target
  }

  #try(): Promise<Attached<E>> {
    this.failed = false
    const joining = this.#attach().then(
      (attached) => {
        this.attached = attached
        this.#done()
        return attached
      },
      (error: unknown) => {
        this.failed = true
        throw error
      },
    )
    // Reported by the run that waits for it.
    return optional(joining)
  }
}
