/** Reading the log, or a stream of it, from the last event on: no more records than hold what is wanted. */
import type { EventShape } from '../../events/event.js'
import { readBackwards } from '../../platform/backwards.js'
import { readsBackwards } from '../../platform/engine-quirks.js'
import { requested, requestedAll } from '../../platform/indexeddb.js'
import { Slices } from '../../platform/slices.js'
import type { BackwardScan } from '../backward-scan.js'
import { finishStream, type Decoding, type EventPages } from '../pages.js'
import type { CommitRecord } from '../record/record.js'
import { mayBeLoss, readOneByOne } from './lost-records.js'
import type { PageSource } from './page-reading.js'
import { readCommits, streamRange } from './queries.js'
import { assertAnswering } from './sentinel.js'

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

/** What is no record any more ends the reading as well, behind what comes before it. */
function taken(scan: BackwardScan, record: CommitRecord): unknown {
  try {
    return scan.takeRecord(record)
  } catch (error) {
    return error
  }
}

/** In pages. */
export async function* backwards<E extends EventShape>(
  { connection, what, sizes }: PageSource,
  begin: () => BackwardScan,
  decoding: Decoding,
  signal: AbortSignal | undefined,
): EventPages<E> {
  const scan = begin()
  const isLog = scan.stream === undefined
  const slices = new Slices()
  const ask = async (): Promise<readonly CommitRecord[]> => {
    const { wanted } = scan
    // Each record of a stream holds at least one event of it.
    const count = isLog ? sizes.recordsFor(wanted) : Math.min(sizes.ofStream, wanted)
    const asks = asksOf(scan, count)
    const sourceOf = (commits: IDBObjectStore) => (isLog ? commits : commits.index('heads'))
    try {
      const records = await readCommits(
        connection,
        what,
        (commits) => {
          const source = sourceOf(commits)
          return Promise.all(
            asks.map(({ range, forwards, count }) =>
              forwards === true ? requestedAll(source.getAll(range, count)) : readBackwards(source, range, count),
            ),
          )
        },
        // A cursor waits for its records one by one.
        count === 1 || readsBackwards() ? 'one' : 'several',
      )
      return records.flat() as CommitRecord[]
    } catch (error) {
      if (!mayBeLoss(error)) throw error
      const keyOf = async (commits: IDBObjectStore) => {
        for (const { range, forwards } of asks) {
          const cursor = await requested(sourceOf(commits).openKeyCursor(range, forwards === true ? 'next' : 'prev'))
          if (cursor !== null) return [cursor.primaryKey]
        }
        return []
      }
      return readOneByOne(connection, await readCommits(connection, what, keyOf, 'several'), what)
    }
  }
  while (!scan.isDone) {
    signal?.throwIfAborted()
    const records = await ask()
    if (records.length === 0) {
      await assertAnswering(connection)
      const problem = scan.ended()
      if (problem !== undefined) throw problem
      return
    }
    slices.began()
    for (const record of records) {
      const problem = taken(scan, record)
      if (problem === undefined && !slices.isOver && !scan.isDone && record !== records.at(-1)) continue
      // What comes before the damage comes first.
      yield* finishStream<E>(scan.take(), decoding, signal)
      if (problem !== undefined) throw problem
      if (scan.isDone) return
      await slices.turn()
    }
    // Now it is known that they are what they should be.
    if (isLog) sizes.arrived([...records].reverse())
    else sizes.streamArrived(records)
  }
}
