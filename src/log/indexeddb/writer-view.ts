/**
 * What a writer remembers of the log, so that it need not read before it writes. Only a transaction decides whether
 * that still holds.
 */
import { RecentMap } from '../../platform/recent-map.js'
import { findConflict } from '../append-rules.js'
import type { PreparedAppend } from '../prepared-append.js'
import type { IdGaps } from '../record/id-gaps.js'

/** How many streams a writer remembers the version of. */
const maxVersions = 10_000

export class WriterView {
  head: number
  /** Where in the log up to `head` no id is. */
  readonly ids: IdGaps
  readonly #versions: RecentMap<string, number>

  /** @param before what was remembered until now: its versions still hold if no other context has appended */
  constructor(head: number, ids: IdGaps, before?: WriterView) {
    this.head = head
    this.ids = ids
    this.#versions = before?.head === head ? before.#versions : new RecentMap(maxVersions)
  }

  /** 0 for a stream that is not remembered. */
  readonly versionOf = (stream: string): number => this.#versions.get(stream) ?? 0

  /** Whether the append can be tried without a look at the log. */
  knowsEnough({ events, condition, imported, expected }: PreparedAppend): boolean {
    // An import is checked against the log as it is.
    if (events.length === 0 || condition !== undefined || imported !== undefined) return false
    for (const stream of expected.keys()) if (!this.#versions.has(stream)) return false
    if (events.some(({ id, idGiven }) => idGiven && !this.ids.isNew(id))) return false
    // What is remembered may be old: only the storage may refuse.
    return findConflict(expected, this.versionOf) === undefined
  }

  remember(versions: ReadonlyMap<string, number>): void {
    for (const [stream, version] of versions) this.#versions.set(stream, version)
  }

  /** The append was stored behind `head`. */
  stored({ events }: PreparedAppend, versions: ReadonlyMap<string, number>): void {
    this.head += events.length
    this.remember(versions)
    this.ids.stored(events)
  }
}
