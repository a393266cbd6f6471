/** Reading the log, or a stream of it, from the last event on: no more records than hold what is wanted. */
import type { EventShape } from '../../events/event.js'
import { readBackwards } from '../../platform/backwards.js'
import { readsBackwards } from '../../platform/engine-quirks.js'
import { requested, requestedAll } from '../../platform/indexeddb.js'
import { Slices } from '../../platform/slices.js'
import type { BackwardScan, LogBackwards, StreamBackwards } from '../backward-scan.js'
import { finishStream, type Decoding, type EventPages } from '../pages.js'
import type { CommitRecord } from '../record/record.js'
import { mayBeLoss, readOneByOne } from './lost-records.js'
import type { PageSource } from './page-reading.js'
import { firstKey, readCommits, streamRange } from './queries.js'
import type { RequestSizes } from './request-sizes.js'
import { assertAnswering } from './sentinel.js'

/** Asks for the records that come next, the last one first. */
export interface BackwardPlan {
  readonly scan: BackwardScan
  /** How many records to ask for. */
  count(): number
  arrived(records: readonly CommitRecord[]): void
  /** Some of them, before it first waits. */
  records(commits: IDBObjectStore, count: number): Promise<unknown[]>
  /** The key of the first one, if there is one. */
  key(commits: IDBObjectStore): Promise<IDBValidKey | undefined>
}

/** The key of a record: of the last one in a range, or the first one. */
const keyIn = (
  source: IDBObjectStore | IDBIndex,
  range: IDBKeyRange | null,
  direction: IDBCursorDirection = 'prev',
): Promise<IDBValidKey | undefined> =>
  requested(source.openKeyCursor(range, direction)).then((cursor) => cursor?.primaryKey)

/** Compaction may have put what comes next into a record that holds more: its key is still the last one below. */
const below = (before: number): IDBKeyRange | null =>
  before === Infinity ? null : IDBKeyRange.upperBound(before, true)

/** Of the whole log. */
export const logPlan = (scan: LogBackwards, sizes: RequestSizes): BackwardPlan => {
  /** Whether the log ends before the bound that was given. */
  const later = async (commits: IDBObjectStore) => {
    if (!scan.begun && scan.before !== Infinity)
      scan.isLast = (await firstKey(commits, IDBKeyRange.lowerBound(scan.before))) === undefined
  }
  return {
    scan,
    count: () => sizes.recordsFor(scan.wanted),
    arrived: (records) => sizes.arrived([...records].reverse()),
    records: (commits, count) =>
      Promise.all([readBackwards(commits, below(scan.before), count), later(commits)]).then(([records]) => records),
    key: (commits) => Promise.all([keyIn(commits, below(scan.before)), later(commits)]).then(([key]) => key),
  }
}

/** Of one stream: the index has each record under the last version that it holds. */
export const streamPlan = (scan: StreamBackwards, sizes: RequestSizes): BackwardPlan => {
  const { stream, after } = scan
  return {
    scan,
    // Each holds at least one event of the stream.
    count: () => Math.min(sizes.ofStream, scan.wanted),
    arrived: (records) => sizes.streamArrived(records),
    async records(commits, count) {
      const heads = commits.index('heads')
      const { before } = scan
      if (before === Infinity) return readBackwards(heads, streamRange(stream, after + 1), count)
      // The one that holds the version before, which may end with a later one; and those that end earlier, which are all
      // if the stream has fewer versions.
      const others = scan.begun ? count - 1 : count
      const [holder, earlier] = await Promise.all([
        requestedAll(heads.getAll(streamRange(stream, before - 1), 1)),
        others > 0 && after + 2 < before
          ? readBackwards(heads, IDBKeyRange.bound([stream, after + 1], [stream, before - 1], false, true), others)
          : [],
      ])
      return [...holder, ...earlier]
    },
    async key(commits) {
      const heads = commits.index('heads')
      const { before } = scan
      const holder = before === Infinity ? undefined : await keyIn(heads, streamRange(stream, before - 1), 'next')
      return holder ?? keyIn(heads, streamRange(stream, after + 1))
    },
  }
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
  plan: (sizes: RequestSizes) => BackwardPlan,
  decoding: Decoding,
  signal: AbortSignal | undefined,
): EventPages<E> {
  const { scan, count, arrived, records, key } = plan(sizes)
  const slices = new Slices()
  const pending = () => finishStream<E>(scan.take(), decoding, signal)
  const ask = async (most: number) => {
    try {
      // A cursor waits for its records one by one.
      const turns = most === 1 || readsBackwards() ? 'one' : 'several'
      return (await readCommits(connection, what, (commits) => records(commits, most), turns)) as CommitRecord[]
    } catch (error) {
      if (!mayBeLoss(error)) throw error
      const next = await readCommits(connection, what, key, 'several')
      return readOneByOne(connection, next === undefined ? [] : [next], what)
    }
  }
  while (!scan.isDone) {
    signal?.throwIfAborted()
    const found = await ask(count())
    if (found.length === 0) {
      await assertAnswering(connection)
      const problem = scan.ended()
      if (problem !== undefined) throw problem
      return
    }
    slices.began()
    for (const record of found) {
      const problem = taken(scan, record)
      if (problem === undefined && !slices.isOver && !scan.isDone && record !== found.at(-1)) continue
      // What comes before the damage comes first.
      yield* pending()
      if (problem !== undefined) throw problem
      if (scan.isDone) return
      await slices.turn()
    }
    // Now it is known that they are what they should be.
    arrived(found)
  }
}
