/**
 * The log on IndexedDB: one record per commit (docs/decisions/0001). Its database, its identity, and who reads and
 * writes it.
 */
import type { IDBPDatabase, IDBPTransaction } from 'idb'
import { StorageFailedError, StorageLostError, type TidemarkError } from '../../errors.js'
import { say } from '../../messages.js'
import type { CatalogueCore } from '../../events/catalogue-core.js'
import { randomId } from '../../events/identifier.js'
import { databaseName } from '../../events/names.js'
import type { Clock } from '../../platform/clock.js'
import { Connection } from '../../platform/connection.js'
import { requested, transact } from '../../platform/indexeddb.js'
import type { Durability } from '../event-store.js'
import { assertSupported, assertWhole, format, logShape, syncedVersion, type LogMeta } from './format.js'
import { hintPause } from '../head-watch.js'
import { logReader } from './log-reader.js'
import { logWriter } from './log-writer.js'
import type { Codec } from '../encode.js'
import type { Log } from '../store.js'
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

export interface IndexedDbLog extends Log {
  readonly connection: Connection
  /** The id of the log, as its own row has it. */
  logId(): Promise<string>
  /** What it remembers of the records is not true any more. */
  forget(): void
  /** A hint: the log reaches so far, and its writer stores in that format. */
  headMoved(head: number, format?: number): void
}

export function indexedDbLog(options: IndexedDbLogOptions): IndexedDbLog {
  const { clock, kind } = options
  const recent = new RecentRecords()
  let logId: string | undefined
  /** The newer format that a hint named last, and until when others are ignored. */
  let newer = { format, deafUntil: -Infinity }
  const forget = () => {
    writer.forget()
    recent.forget()
  }
  const connection = new Connection({
    name: databaseName(options.name),
    version: kind?.version ?? 1,
    ...(kind === undefined && { syncedVersion }),
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
      if (logId !== undefined && logId !== meta.incarnation) throw new StorageLostError('replaced')
      logId = meta.incarnation
    },
    lost: () => {
      forget()
      kind?.gone?.()
    },
    terminated: () => kind?.gone?.(),
  })
  const writer = logWriter(connection, recent, options)
  return {
    connection,
    forget,
    async logId() {
      // Also where it is known: nothing may be built for a log that is lost (H31).
      await connection.open()
      return logId as string
    },
    headMoved(head, otherFormat = format) {
      if (writer.headMoved(head)) recent.headMoved(head)
      const now = clock.monotonic()
      if (otherFormat <= format || otherFormat === newer.format || now < newer.deafUntil) return
      // The next connection tells whether a build of that format left the log to builds of this one (H41).
      newer = { format: otherFormat, deafUntil: now + hintPause }
      connection.reopen()
    },
    append: writer.append,
    ...logReader(connection, recent, options),
  }
}
