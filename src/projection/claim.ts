/** One attempt at the lock of a projection: granted, waited for, or given up. */
import { CoordinationFailedError, LeadershipLostError } from '../errors.js'
import { say } from '../messages.js'
import type { Coordinator, Guard } from '../ports.js'

/** The part of a target that a claim needs. */
interface Claimed {
  readonly name: string
  readonly key: string
}

export class Claim {
  readonly #coordinator: Coordinator
  readonly #target: Claimed
  readonly #attempt: AbortController
  readonly #queue = new AbortController()
  #guard: Guard | undefined
  #released = false
  /** This context runs the projection, with the lock or without it. */
  leads = false

  constructor(coordinator: Coordinator, target: Claimed, attempt: AbortController) {
    this.#coordinator = coordinator
    this.#target = target
    this.#attempt = attempt
  }

  /** This context has the lock. */
  get held(): boolean {
    return this.#guard !== undefined
  }

  /** @throws CoordinationFailedError if the coordinator failed */
  async tryNow(): Promise<boolean> {
    try {
      return this.#take(await this.#coordinator.tryAcquire(this.#target.key))
    } catch (error) {
      throw new CoordinationFailedError(this.#target.name, error)
    }
  }

  /**
   * Waits for the lock, also while this context works without it, so that it gets the lock when that is free.
   *
   * @throws CoordinationFailedError if the coordinator failed
   */
  async wait(): Promise<void> {
    const { signal } = this.#attempt
    const leave = () => this.#queue.abort(signal.reason)
    signal.addEventListener('abort', leave, { once: true })
    try {
      signal.throwIfAborted()
      this.#take(await this.#coordinator.acquire(this.#target.key, { signal: this.#queue.signal }))
    } catch (error) {
      signal.throwIfAborted()
      if (this.#released) return
      throw new CoordinationFailedError(this.#target.name, error)
    } finally {
      signal.removeEventListener('abort', leave)
    }
  }

  release(): void {
    if (this.#released) return
    this.#released = true
    this.#queue.abort()
    free(this.#guard)
  }

  #take(granted: Guard | undefined | null): boolean {
    if (granted === undefined || granted === null) return false
    if (this.#released) free(granted)
    else {
      this.#guard = granted
      const lost = () => this.#attempt.abort(new LeadershipLostError(this.#target.name, say`its lock was taken away.`))
      if (granted.lost?.aborted === true) lost()
      granted.lost?.addEventListener('abort', lost, { once: true })
    }
    return true
  }
}

/** A coordinator that fails to release must not change how the run ended. */
function free(guard: Guard | undefined): void {
  try {
    Promise.resolve(guard?.release() as unknown).catch(() => {})
  } catch {
    // The lock is lost to its owner only.
  }
}
