/** Reading the log, or a stream of it, from the last event on: no more records than hold what is wanted. */
import { readBackwards } from '../../platform/backwards.js'
import { readsBackwards } from '../../platform/engine-quirks.js'
import { requested, requestedAll } from '../../platform/indexeddb.js'
import type { BackwardScan } from '../backward-scan.js'
import { readAround } from './lost-records.js'
import type { PageSource } from './page-reading.js'
import { streamRange } from './queries.js'
import type { Reply } from './scan-pages.js'

interface Ask {
  readonly range: IDBKeyRange | null
  /** The first records of the range, instead of the last ones. */
  readonly forwards?: boolean
  readonly count: number
}

/**
 * Asks for the records that come next. The log: those that begin below. A record that compaction joined may hold more
 * than is missing, and begins there all the same. A stream: the index has each record under the last version that it
 * holds, so what comes next may be in one that ends later.
 */
function asksOf({ stream, begun, before, after }: BackwardScan, count: number): Ask[] {
  const bounded = before !== Infinity
  if (stream === undefined) {
    const below = { range: bounded ? IDBKeyRange.upperBound(before, true) : null, count }
    // Whether the log ends before the bound that was given.
    return bounded && !begun ? [{ range: IDBKeyRange.lowerBound(before), forwards: true, count: 1 }, below] : [below]
  }
  if (!bounded) return [{ range: streamRange(stream, after + 1), count }]
  const holder = { range: streamRange(stream, before - 1), forwards: true, count: 1 }
  // All of them, if the stream ends before the bound.
  const others = begun ? count - 1 : count
  return others > 0 && after + 2 < before
    ? [holder, { range: IDBKeyRange.bound([stream, after + 1], [stream, before - 1], false, true), count: others }]
    : [holder]
}

/** The records that come next. Whether more come, only the next request tells. */
export async function askBackwards({ connection, what, sizes }: PageSource, scan: BackwardScan): Promise<Reply> {
  const isLog = scan.stream === undefined
  // Each record of a stream holds at least one event of it.
  const count = isLog ? sizes.recordsFor(scan.wanted) : Math.min(sizes.ofStream, scan.wanted)
  const asks = asksOf(scan, count)
  const sourceOf = (commits: IDBObjectStore) => (isLog ? commits : commits.index('heads'))
  const lists = (commits: IDBObjectStore) => {
    const source = sourceOf(commits)
    return Promise.all(
      asks.map(({ range, forwards, count }) =>
        forwards ? requestedAll(source.getAll(range, count)) : readBackwards(source, range, count),
      ),
    )
  }
  const keys = (commits: IDBObjectStore) =>
    Promise.all(
      asks.map(({ range, forwards }) =>
        requested(sourceOf(commits).openKeyCursor(range, forwards ? 'next' : 'prev')).then(
          (cursor) => cursor?.primaryKey,
        ),
      ),
    )
  const records = await readAround(
    connection,
    what,
    async (commits) => (await lists(commits)).flat(),
    // Only the first one, which may be lost.
    async (commits) => (await keys(commits)).filter((key) => key !== undefined).slice(0, 1),
    // A cursor waits for its records one by one.
    count === 1 || readsBackwards() ? 'one' : 'several',
  )
  return { records, most: 0 }
}
