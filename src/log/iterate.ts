/** Iterating over events that come in pages. */

/** The reason of an abort that ends the loop without an error. */
export const left = Symbol()

/**
 * One promise for each event, where a generator takes three: that is four microseconds an event in Firefox, as much as
 * reading it. Like a generator it goes through its pages once, serves calls that do not wait for each other in order,
 * and ends for good when it fails, or when the caller ends the loop.
 */
export class EventIterator<T> implements AsyncIterableIterator<T, undefined> {
  readonly #pages: AsyncGenerator<readonly T[], void, undefined>
  readonly #signal: AbortSignal | undefined
  #page: readonly T[] = []
  #next = 0
  #ended = false
  /** The last call that waits for a page; a call that comes meanwhile is behind it. */
  #turn: Promise<unknown> | undefined

  constructor(pages: AsyncGenerator<readonly T[], void, undefined>, signal: AbortSignal | undefined) {
    this.#pages = pages
    this.#signal = signal
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorResult<T, undefined>> {
    if (this.#turn === undefined && this.#next < this.#page.length && this.#signal?.aborted !== true)
      return Promise.resolve(this.#take())
    return this.#inTurn(() => this.#afterPage())
  }

  return(): Promise<IteratorResult<T, undefined>> {
    return this.#inTurn(() => this.#end())
  }

  #take(): IteratorResult<T, undefined> {
    const value = this.#page[this.#next] as T
    this.#next += 1
    return { done: false, value }
  }

  async #afterPage(): Promise<IteratorResult<T, undefined>> {
    if (this.#ended) return { done: true, value: undefined }
    if (this.#signal?.aborted === true) {
      const end = await this.#end()
      if (this.#signal.reason === left) return end
      throw this.#signal.reason
    }
    while (this.#next >= this.#page.length) {
      // What fails has ended.
      this.#ended = true
      const { done, value } = await this.#pages.next()
      if (done === true) return this.#end()
      this.#ended = false
      this.#page = value
      this.#next = 0
    }
    return this.#take()
  }

  async #end(): Promise<IteratorResult<T, undefined>> {
    this.#ended = true
    this.#page = []
    await this.#pages.return()
    return { done: true, value: undefined }
  }

  #inTurn<A>(work: () => Promise<A>): Promise<A> {
    const turn = this.#turn === undefined ? work() : this.#turn.then(work, work)
    this.#turn = turn
    const over = () => {
      if (this.#turn === turn) this.#turn = undefined
    }
    turn.then(over, over)
    return turn
  }
}
