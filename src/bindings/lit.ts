/** Live queries and statuses for elements of Lit 2 and newer, and for other hosts of reactive controllers. */
import type { StatusStore } from '../running/status.js'
import { show, statusOf, type Live, type QuerySource, type StatusSource } from './shown.js'

/** What a controller needs of an element: a LitElement has it. */
export interface LiveHost {
  addController(controller: { hostConnected(): void; hostUpdate(): void; hostDisconnected(): void }): void
  requestUpdate(): void
}

/**
 * Follows a live query while its element is on the page, and renders the element whenever what it shows changes. Given a
 * function, it asks for the query before each update of the element, so that the query may depend on its properties;
 * equal options have to be the same query, as those of a model are.
 *
 * @example
 * class BasketElement extends LitElement {
 *   static properties = { basket: {} }
 *   #lines = new LiveController(this, () => this.basket && shop.baskets.lines.liveRow(this.basket))
 *   render() {
 *     const { status, data } = this.#lines.value
 *     return status === 'ready' ? html`<p>${data?.items}</p>` : html`<p>…</p>`
 *   }
 * }
 */
export class LiveController<V> {
  readonly #host: LiveHost
  readonly #source: () => QuerySource<V>
  #shown = show<V>(null)
  #rendered: Live<V> | undefined
  #stop: (() => void) | undefined
  #isConnected = false

  /**
   * @param host the element
   * @param live a query, or what returns one or none
   */
  constructor(host: LiveHost, live: QuerySource<V> | (() => QuerySource<V>)) {
    this.#host = host
    this.#source = typeof live === 'function' ? live : () => live
    host.addController(this)
  }

  /**
   * What the query shows: its snapshot, or `'off'` if there is none. After a change of query, the answer of the former one
   * is shown, `stale`, until there is a new one.
   */
  get value(): Live<V> {
    this.#follow()
    return this.#shown.getSnapshot()
  }

  /** Called by the element. */
  hostConnected(): void {
    this.#isConnected = true
    this.#follow()
    this.#changed()
  }

  /** Called by the element. */
  hostUpdate(): void {
    this.#follow()
    this.#rendered = this.#shown.getSnapshot()
  }

  /** Called by the element. */
  hostDisconnected(): void {
    this.#isConnected = false
    this.#stop?.()
    this.#stop = undefined
  }

  #follow(): void {
    const source = this.#source()
    if (source !== this.#shown.source) {
      this.#stop?.()
      this.#stop = undefined
      this.#shown = show(source, this.#shown)
    }
    if (this.#isConnected) this.#stop ??= this.#shown.subscribe(() => this.#changed())
  }

  #changed(): void {
    if (this.#shown.getSnapshot() !== this.#rendered) this.#host.requestUpdate()
  }
}

/**
 * Follows a status, as long as its element is on the page, and renders the element whenever it changes.
 *
 * @example
 * class SyncElement extends LitElement {
 *   #sync = new StatusController(this, shop.sync)
 *   render() {
 *     return html`<p>${this.#sync.value.pending} not sent</p>`
 *   }
 * }
 */
export class StatusController<S> {
  readonly #host: LiveHost
  readonly #status: StatusStore<S>
  #rendered: S | undefined
  #stop: (() => void) | undefined

  /**
   * @param host the element
   * @param from what has a `status` (an app, a model, `app.sync`), or the status itself
   */
  constructor(host: LiveHost, from: StatusSource<S>) {
    this.#host = host
    this.#status = statusOf(from)
    host.addController(this)
  }

  /** What the status says now. */
  get value(): S {
    return this.#status.getSnapshot()
  }

  /** Called by the element. */
  hostConnected(): void {
    this.#stop ??= this.#status.subscribe(() => this.#changed())
    this.#changed()
  }

  /** Called by the element. */
  hostUpdate(): void {
    this.#rendered = this.value
  }

  /** Called by the element. */
  hostDisconnected(): void {
    this.#stop?.()
    this.#stop = undefined
  }

  #changed(): void {
    if (this.value !== this.#rendered) this.#host.requestUpdate()
  }
}

export type { Live, QuerySource, StatusSource } from './shown.js'
