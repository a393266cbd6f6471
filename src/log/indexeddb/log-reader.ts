/** Reading the log on IndexedDB: pages, streams, and the head. */
import { EventUnreadableError } from '../../errors.js'
import { say } from '../../messages.js'
import type { CatalogueCore } from '../../events/catalogue-core.js'
import type { EventShape } from '../../events/event.js'
import { streamName } from '../../events/names.js'
import type { Connection } from '../../platform/connection.js'
import { requested, requestedAll } from '../../platform/indexeddb.js'
import type { Codec } from '../encode.js'
import { BackwardScan } from '../backward-scan.js'
import type { PageRequest, ReadAllOptions, ReadStreamOptions } from '../event-store.js'
import { finishPage, type CollectedPage, type EventPages, type PageOptions } from '../pages.js'
import { scanFor } from '../page-scan.js'
import { endOf } from '../record/record.js'
import { RecordsAhead } from '../records-ahead.js'
import type { Log } from '../store.js'
import { StreamScan } from '../stream-scan.js'
import { askBackwards } from './backward-reading.js'
import { isLoss, readAround, unlessLost } from './lost-records.js'
import { PageReading, readLastOne, type PageSource } from './page-reading.js'
import { headOf, readCommits, streamHead, streamRange } from './queries.js'
import type { RecentRecords } from './recent-records.js'
import { RequestSizes } from './request-sizes.js'
import { scanPages, type Reply } from './scan-pages.js'
import { assertAnswering } from './sentinel.js'

interface ReaderContext {
  readonly name: string
  readonly catalogue: CatalogueCore
  readonly codec: Codec | undefined
}

/** Reads the log. */
export type LogReader = Omit<Log, 'append'>

export function logReader(connection: Connection, recent: RecentRecords, about: ReaderContext): LogReader {
  const { name } = about
  const source: PageSource = { connection, recent, what: say`reading '${name}'`, sizes: new RequestSizes() }

  const head = async (): Promise<number> => {
    const what = say`reading the head of '${name}'`
    const readAlone = async ({ cause }: Error) => {
      const last = await readLastOne(connection, what)
      // What can be read now was not lost.
      if (last?.lost === undefined) return endOf(last)
      throw new EventUnreadableError(
        last.at,
        say`the browser lost the last record of the log, and it is not known how many events that held.`,
        cause,
      )
    }
    const found = await unlessLost(readCommits(connection, what, headOf), readAlone, isLoss)
    if (found === 0) await assertAnswering(connection)
    return found
  }

  const readBackwards = <E extends EventShape>(options: ReadAllOptions, stream?: string): EventPages<E> => {
    const begin = () => new BackwardScan(options, stream === undefined ? stream : streamName(stream))
    return scanPages<E, BackwardScan>(source, begin, askBackwards, about, options.signal)
  }

  return {
    readStream<E extends EventShape>(stream: string, options: ReadStreamOptions = {}): EventPages<E> {
      const { direction, signal, after = 0, before = Infinity, limit = Infinity } = options
      if (direction === 'backwards') return readBackwards(options, stream)
      const begin = () => new StreamScan(streamName(stream), after, Math.max(0, Math.min(limit, before - 1 - after)))
      return scanPages<E, StreamScan>(source, begin, askForwards, about, signal)
    },
    async readPage<E extends EventShape>(
      request: PageRequest<E>,
      options: PageOptions = {},
    ): Promise<CollectedPage<E>> {
      const { signal } = request
      const scan = scanFor(request, options.before)
      // `getAll(range, 0)` would return everything (H15).
      if (scan.limit === 0) return { events: [], scannedTo: scan.after, head: await head() }
      const { ahead = new RecordsAhead() } = options
      const reading = new PageReading(source, scan, ahead, ahead === options.ahead)
      const end = await reading.run(options.own === true, signal)
      // Out here: what is thrown inside of the transaction would be taken for a failure of the storage.
      signal?.throwIfAborted()
      // Where this page ends, the next one begins. To remember every record takes as long as reading it, in Firefox.
      if (scan.endsWith !== undefined) recent.sawEnd(scan.endsWith)
      const page = await finishPage<E>(scan, scan.scannedTo, end, about, { ...options, signal })
      return options.unreadable === 'collect' ? { ...page, characters: scan.characters } : page
    },
    async streamVersion(given) {
      const stream = streamName(given)
      const last = await readCommits(connection, say`reading the version of '${stream}'`, (commits) =>
        streamHead(commits, stream),
      )
      if (last === undefined) await assertAnswering(connection)
      return last?.[1] ?? 0
    },
    head,
    readBackwards,
  }
}

/** The records of a stream that come next. */
async function askForwards({ connection, sizes }: PageSource, { stream, after, left }: StreamScan): Promise<Reply> {
  const range = streamRange(stream, after + 1)
  // Each holds at least one event of the stream.
  const most = Math.min(sizes.ofStream, left)
  const records = await readAround(
    connection,
    say`reading stream '${stream}'`,
    (commits) => requestedAll(commits.index('heads').getAll(range, most)),
    (commits) => requested(commits.index('heads').getAllKeys(range, most)),
  )
  return { records, most }
}
