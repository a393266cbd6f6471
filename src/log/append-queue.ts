/**
 * The order of appends: one after the other, each in the place of its call, or of the moment when the app's code has
 * done its part.
 */
import { abortable } from '../platform/promises.js'
import type { AppendOptions, AppendResult } from './event-store.js'
import type { LateAppend } from './prepare.js'
import type { PreparedAppend } from './prepared-append.js'

type Append = PreparedAppend | LateAppend

const isPrepared = (preparing: Append | Promise<Append>): preparing is PreparedAppend => 'events' in preparing

export class AppendQueue {
  readonly #store: (prepared: PreparedAppend, options: AppendOptions) => Promise<AppendResult>
  #last: Promise<unknown> = Promise.resolve()
  /** Appends that have a place and are not settled. */
  #placed = 0
  readonly #closing: AbortSignal

  /**
   * @param store stores one append; it is never called again before it has settled
   * @param closing aborts when the store is closed, and with it the appends that wait for the app's code
   */
  constructor(
    store: (prepared: PreparedAppend, options: AppendOptions) => Promise<AppendResult>,
    closing: AbortSignal,
  ) {
    this.#store = store
    this.#closing = closing
  }

  /**
   * Takes the next place. An append that prepares in slices keeps it; one that waits for the app's code leaves it to
   * the others meanwhile.
   */
  append(preparing: Append | Promise<Append>, options: AppendOptions): Promise<AppendResult> {
    if ('late' in preparing) return this.#appendLate(preparing, options)
    if (!('then' in preparing)) return this.#enqueue(preparing, options)
    return this.#enqueue(preparing, options).then((outcome) =>
      'late' in outcome ? this.#appendLate(outcome, options) : outcome,
    )
  }

  /** Resolves when the appends under way are done. */
  settled(): Promise<unknown> {
    // A step later, so that their callers have the results.
    return this.#last.then(() => {})
  }

  #enqueue<A extends Append>(
    preparing: A | Promise<A>,
    options: AppendOptions,
  ): Promise<AppendResult | Extract<A, LateAppend>> {
    const before = this.#last
    const { signal } = options
    // Without a turn of the microtask queue where no other append is under way: Firefox takes as long for a few of them
    // as for encoding the event.
    const turn =
      this.#placed === 0 && isPrepared(preparing)
        ? (signal?.throwIfAborted(), this.#store(preparing, options))
        : (signal == null ? before : abortable(before, signal)).then(async () => {
            const prepared = await preparing
            if ('late' in prepared) return prepared as Extract<A, LateAppend>
            signal?.throwIfAborted()
            return this.#store(prepared, options)
          })
    this.#placed += 1
    const settled = () => void (this.#placed -= 1)
    // The queue continues after a failure, which rejects `turn` for the caller. One that was aborted while it waited
    // lets no other pass.
    this.#last = turn.then(settled, () => {
      settled()
      return before
    })
    return turn
  }

  async #appendLate({ late }: LateAppend, options: AppendOptions): Promise<AppendResult> {
    const closing = this.#closing
    const { signal } = options
    const prepared = await abortable(
      late(() => closing.aborted || signal?.aborted === true),
      signal,
      closing,
    )
    closing.throwIfAborted()
    return this.#enqueue<PreparedAppend>(prepared, options)
  }
}
