/** Which functions came with the keys of live queries: for the development build. */
import { say } from '../messages.js'
import { RecentMap } from '../platform/recent-map.js'

/** Warns once of a key that comes with another function, which is not run: the key lacks what tells the two apart. */
export class KeyTexts {
  readonly #model: string
  readonly #texts = new RecentMap<string, string>(1_000)

  constructor(model: string) {
    this.#model = model
  }

  compare(key: string, query: (...given: never) => unknown): void {
    const text = String(query)
    const before = this.#texts.get(key)
    // It was warned of.
    if (before === '' || before === text) return
    this.#texts.set(key, before === undefined ? text : '')
    if (__DEV__ && before !== undefined)
      console.warn(
        say`tidemark: two different functions came with the live key ${key} of '${this.#model}'. Only the first one runs, as long as its query is used. Give them different keys; after an edit, reload the page.`,
      )
  }
}
