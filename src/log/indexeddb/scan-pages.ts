/** Reading record by record for a scan that says what it still needs: of a stream, or of the log backwards. */
import type { EventShape } from '../../events/event.js'
import { Slices } from '../../platform/slices.js'
import { finishStream, type Decoding, type EventPages, type FoundEvents } from '../pages.js'
import type { CommitRecord } from '../record/record.js'
import type { PageSource } from './page-reading.js'
import { assertAnswering } from './sentinel.js'

/** What a reading has found so far. */
interface Scan {
  /** Nothing for the log. */
  readonly stream: string | undefined
  readonly isDone: boolean
  /** Returns the error of what was edited or is missing, with which the reading ends. */
  takeRecord(record: CommitRecord): Error | undefined
  /** Nothing comes behind what was taken. Returns the error of what is missing. */
  ended(): Error | undefined
  take(): FoundEvents
}

/** The records that come next; the last ones if they are fewer than `most`. */
export interface Reply {
  readonly records: readonly CommitRecord[]
  readonly most: number
}

/** What is no record any more ends the reading as well, behind what comes before it. */
function taken(scan: Scan, record: CommitRecord): unknown {
  try {
    return scan.takeRecord(record)
  } catch (error) {
    return error
  }
}

/** In pages. */
export async function* scanPages<E extends EventShape, S extends Scan>(
  source: PageSource,
  begin: () => S,
  ask: (source: PageSource, scan: S) => Promise<Reply>,
  decoding: Decoding,
  signal: AbortSignal | undefined,
): EventPages<E> {
  const { connection, sizes } = source
  const scan = begin()
  const slices = new Slices()
  while (!scan.isDone) {
    signal?.throwIfAborted()
    const { records, most } = await ask(source, scan)
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
    if (records.length < most) return
    // Now it is known that they are what they should be.
    if (scan.stream === undefined) sizes.arrived(records)
    else sizes.streamArrived(records)
  }
}
