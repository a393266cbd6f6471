/** The way from this device to the server, and the switch that cuts it. */

export class Line {
  readonly #key: string
  readonly #listeners = new Set<() => void>()
  /** Ends what is under way when the switch is turned on. */
  #cut = new AbortController()
  #airplane: boolean

  /** @param device every window of a device shares one switch */
  constructor(device: string) {
    this.#key = `board-for-two:airplane:${device}`
    this.#airplane = localStorage.getItem(this.#key) !== null
    addEventListener('storage', ({ key, newValue }) => {
      if (key === this.#key) this.#set(newValue !== null)
    })
  }

  get airplane(): boolean {
    return this.#airplane
  }
  set airplane(on: boolean) {
    if (on) localStorage.setItem(this.#key, 'on')
    else localStorage.removeItem(this.#key)
    this.#set(on)
  }

  /** As `fetch`, which fails in airplane mode as it does without a network. */
  readonly fetch: typeof globalThis.fetch = async (input, init = {}) => {
    if (this.#airplane) throw new TypeError('Airplane mode')
    const signals = [this.#cut.signal, init.signal].filter((signal) => signal instanceof AbortSignal)
    return fetch(input, { ...init, signal: AbortSignal.any(signals) })
  }

  subscribe(listener: () => void): void {
    this.#listeners.add(listener)
  }

  #set(on: boolean): void {
    if (on === this.#airplane) return
    this.#airplane = on
    if (on) {
      this.#cut.abort(new TypeError('Airplane mode'))
      this.#cut = new AbortController()
    }
    for (const listener of this.#listeners) listener()
  }
}
