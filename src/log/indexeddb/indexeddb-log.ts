/**
 * The log on IndexedDB: one record per commit (docs/decisions/0001). Its database, its identity, and who reads and
 * writes it.
 */
import type { IDBPDatabase, IDBPTransaction } from 'idb'
import { StorageFailedError, StorageLostError, type TidemarkError } from '../../errors.js'
import { say } from '../../messages.js'
import type { CatalogueCore } from '../../events/catalogue.js'
import type { EventShape } from '../../events/event.js'
import { randomId } from '../../events/identifier.js'
import { databaseName } from '../../events/names.js'
import type { Clock } from '../../platform/clock.js'
import { Connection } from '../../platform/connection.js'
import { requested, transact } from '../../platform/indexeddb.js'
import type {
  AppendOptions,
  AppendResult,
  Durability,
  PageRequest,
  ReadAllOptions,
  ReadStreamOptions,
} from '../event-store.js'
import { assertSupported, assertWhole, format, logShape, type LogMeta } from './format.js'
import { hintPause } from '../head-watch.js'
import { LogReader } from './log-reader.js'
import { LogWriter } from './log-writer.js'
import type { CollectedPage, EventPages, PageOptions } from '../pages.js'
import type { Codec } from '../encode.js'
import type { PreparedAppend } from '../prepared-append.js'
import { RecentRecords } from './recent-records.js'

/** What another kind of store has in the database of its log. */
export interface DatabaseKind {
  /** Of the database: a build that does not know the kind does not open it. */
  readonly version: number
  /** Creates what it has. Returns false if it ended the upgrade: the database is that of another kind. */
  create(
    database: IDBPDatabase,
    transaction: IDBPTransaction<unknown, string[], 'versionchange'>,
    logId: string,
  ): boolean
  /** @throws StorageDamagedError if something of it is missing */
  assertWhole(database: IDBDatabase): void
  /** Called when the database was deleted, or when the browser closed it: its storage was cleared, perhaps. */
  readonly gone?: (() => void) | undefined
}

export interface IndexedDbLogOptions {
  readonly name: string
  readonly catalogue: CatalogueCore
  readonly codec: Codec | undefined
  readonly durability: Durability
  readonly clock: Clock
  readonly kind?: DatabaseKind | undefined
}

export class IndexedDbLog {
  readonly connection: Connection
  readonly #recent = new RecentRecords()
  readonly #reader: LogReader
  readonly #writer: LogWriter
  #logId: string | undefined
  readonly #clock: Clock
  /** The newer format that a hint named last, and until when others are ignored. */
  #newer = { format, deafUntil: -Infinity }

  constructor(options: IndexedDbLogOptions) {
    this.#clock = options.clock
    const { kind } = options
    this.connection = new Connection({
      name: databaseName(options.name),
      version: kind?.version ?? 1,
      label: say`The event store '${options.name}'`,
      upgrade: (database, transaction) => {
        const incarnation = randomId()
        if (kind?.create(database, transaction, incarnation) === false) return
        for (const [name, { keyPath, indexes = {} }] of Object.entries(logShape)) {
          const store = database.createObjectStore(name, { keyPath })
          for (const [index, how] of Object.entries(indexes)) store.createIndex(index, index, how)
        }
        transaction
          .objectStore('meta')
          .put({ key: 'log', format, minReader: format, minWriter: format, incarnation } satisfies LogMeta)
          .catch(() => {})
      },
      verify: async (database) => {
        assertWhole(database, options.name)
        kind?.assertWhole(database)
        let meta: LogMeta | undefined
        await transact(
          database,
          { stores: ['meta'], mode: 'readonly', what: say`opening '${options.name}'` },
          async (transaction) => {
            meta = await requested(transaction.objectStore('meta').get('log'))
          },
        ).catch((error: TidemarkError) => {
          // Where it was read, how its transaction ended says nothing.
          if (meta === undefined) throw error.cause ?? error
        })
        // Not "lost": some engines answer reads with nothing while a page goes away (H25), and this page may come back.
        if (meta === undefined) {
          throw new StorageFailedError(
            say`The event store '${options.name}' does not show its identity: this page is going away, or the store was damaged. Retry.`,
            { outcome: 'not-written' },
          )
        }
        assertSupported(meta, options.name, false)
        // A connection stays with one database for life, so asking once per connection is enough (H31).
        if (this.#logId !== undefined && this.#logId !== meta.incarnation) throw new StorageLostError('replaced')
        this.#logId = meta.incarnation
      },
      lost: () => {
        this.forget()
        kind?.gone?.()
      },
      terminated: () => kind?.gone?.(),
    })
    this.#reader = new LogReader(this.connection, this.#recent, options)
    this.#writer = new LogWriter(this.connection, this.#recent, options)
  }

  /** The id of the log, as its own row has it. */
  async logId(): Promise<string> {
    // Also where it is known: nothing may be built for a log that is lost (H31).
    await this.connection.open()
    return this.#logId as string
  }

  /** What it remembers of the records is not true any more. */
  forget(): void {
    this.#writer.forget()
    this.#recent.forget()
  }

  /** A hint: the log reaches so far, and its writer stores in that format. */
  headMoved(head: number, otherFormat: number = format): void {
    if (this.#writer.headMoved(head)) this.#recent.headMoved(head)
    const now = this.#clock.monotonic()
    if (otherFormat <= format || otherFormat === this.#newer.format || now < this.#newer.deafUntil) return
    // The next connection tells whether a build of that format left the log to builds of this one (H41).
    this.#newer = { format: otherFormat, deafUntil: now + hintPause }
    this.connection.reopen()
  }

  /** Stores a prepared append. Calls must not overlap: the store queues them. */
  append(prepared: PreparedAppend, options: AppendOptions): Promise<AppendResult> {
    return this.#writer.append(prepared, options)
  }

  readPage<E extends EventShape>(request: PageRequest, options?: PageOptions): Promise<CollectedPage<E>> {
    return this.#reader.readPage<E>(request, options)
  }

  readStream<E extends EventShape>(name: string, options?: ReadStreamOptions): EventPages<E> {
    return this.#reader.readStream<E>(name, options)
  }

  readBackwards<E extends EventShape>(options: ReadAllOptions): EventPages<E> {
    return this.#reader.readBackwards<E>(options)
  }

  head(): Promise<number> {
    return this.#reader.head()
  }

  streamVersion(name: string): Promise<number> {
    return this.#reader.streamVersion(name)
  }
}
