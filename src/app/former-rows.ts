/** Rows that stay on the screen while newer code of an app takes over: for the development build. */
import { rested, type LiveSnapshot } from '../reading/live-snapshot.js'

type Snapshot = LiveSnapshot<unknown>

/** How many queries are remembered at most. */
const most = 256

/** By snapshot: the same one, marked as out of date. */
const stale = new WeakMap<Snapshot, Snapshot>()

function staleOf(snapshot: Snapshot): Snapshot {
  const known = stale.get(snapshot) ?? rested(snapshot)
  stale.set(snapshot, known)
  return known
}

/**
 * What the queries of an app showed last. Once newer code took over, they still show it, and so do the same queries of
 * the newer code, until they have an answer. It is forgotten when the newer code is reopened or closed: nothing of a former
 * user is shown.
 */
export class FormerRows {
  readonly #shown = new Map<string, Snapshot>()
  readonly #older: () => readonly FormerRows[]
  readonly #changed: () => void
  /** The rows of the apps that this one took over from, once it is open. */
  #former: readonly FormerRows[] | undefined
  #isReplaced = false

  /**
   * @param older of older code that is open under the name of this app
   * @param changed what this shows is another thing
   */
  constructor(older: () => readonly FormerRows[], changed: () => void) {
    this.#older = older
    this.#changed = changed
  }

  /** Returns what a query shows if its own snapshot is `own`. The same object as long as it is the same. */
  shown(query: string, own: Snapshot): Snapshot {
    const now = own.status === 'ready' ? own : this.#kept(query, own)
    if (now === undefined) return own
    this.#shown.delete(query)
    this.#shown.set(query, now)
    for (const [first] of this.#shown) {
      if (this.#shown.size <= most) break
      this.#shown.delete(first)
    }
    return now
  }

  #kept(query: string, own: Snapshot): Snapshot | undefined {
    if (own.status !== 'loading' && !this.#isReplaced) return undefined
    // Before it is open, its name may become another one.
    const isNamed = own.status !== 'loading' || this.#former !== undefined
    let kept = isNamed ? this.#shown.get(query) : undefined
    if (own.status === 'loading') for (const each of this.#former ?? this.#older()) kept ??= each.#shown.get(query)
    return kept && staleOf(kept)
  }

  /** This app is opened, after those that it took over from were closed. */
  follow(former: readonly FormerRows[]): void {
    // They may be of another name, if that changed since they were asked for.
    this.#shown.clear()
    this.#former = former
  }

  /** Newer code takes over. */
  replaced(): void {
    this.#isReplaced = true
  }

  /** Nothing of what was shown may be shown again, nor of what it was taken over from. */
  forget(): void {
    this.#shown.clear()
    this.forgetFormer()
  }

  /** Older code than this is not followed any more. */
  forgetFormer(): void {
    const former = this.#former ?? []
    this.#former = []
    for (const each of former) {
      each.forget()
      each.#changed()
    }
  }
}
