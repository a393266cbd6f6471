/**
 * The order of appends: one after the other, each in the place of its call, or of the moment when the app's code has
 * done its part.
 */
import type { ClosedError } from '../errors.js'
import { abortable } from '../platform/promises.js'
import type { AppendOptions, AppendResult } from './event-store.js'
import type { LateAppend } from './prepare.js'
import type { PreparedAppend } from './prepared-append.js'

type Append = PreparedAppend | LateAppend

export class AppendQueue {
  readonly #store: (prepared: PreparedAppend, options: AppendOptions) => AppendResult | Promise<AppendResult>
  #last: Promise<unknown> = Promise.resolve()
  /** Aborts what waits for the app's code when the store is closed. */
  readonly #closed = new AbortController()

  /** @param store stores one append; it is never called again before it has settled */
  constructor(store: (prepared: PreparedAppend, options: AppendOptions) => AppendResult | Promise<AppendResult>) {
    this.#store = store
  }

  /**
   * Takes the next place. An append that prepares in slices keeps it; one that waits for the app's code leaves it to
   * the others meanwhile.
   */
  append(preparing: Append | Promise<Append>, options: AppendOptions): Promise<AppendResult> {
    const placed = (outcome: AppendResult | LateAppend) =>
      'late' in outcome ? this.#appendLate(outcome, options) : outcome
    return 'late' in preparing ? this.#appendLate(preparing, options) : this.#enqueue(preparing, options).then(placed)
  }

  /** Rejects the appends that wait for the app's code. Resolves when those under way are done. */
  close(reason: ClosedError): Promise<unknown> {
    this.#closed.abort(reason)
    // A step later, so that their callers have the results.
    return this.#last.then(() => {})
  }

  #enqueue<A extends Append>(
    preparing: A | Promise<A>,
    options: AppendOptions,
  ): Promise<AppendResult | Extract<A, LateAppend>> {
    const before = this.#last
    const { signal } = options
    const turn = (signal == null ? before : abortable(before, signal)).then(async () => {
      const prepared = await preparing
      if ('late' in prepared) return prepared as Extract<A, LateAppend>
      signal?.throwIfAborted()
      return this.#store(prepared, options)
    })
    // The queue continues after a failure, which rejects `turn` for the caller. One that was aborted while it waited
    // lets no other pass.
    this.#last = turn.catch(() => before)
    return turn
  }

  async #appendLate({ late }: LateAppend, options: AppendOptions): Promise<AppendResult> {
    const closed = this.#closed.signal
    const { signal } = options
    const prepared = await abortable(
      late(() => closed.aborted || signal?.aborted === true),
      signal,
      closed,
    )
    closed.throwIfAborted()
    return this.#enqueue<PreparedAppend>(prepared, options)
  }
}
