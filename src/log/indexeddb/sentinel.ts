/** Tells "there is nothing" from a storage that returns nothing. */
import { StorageFailedError } from '../../errors.js'
import { say } from '../../messages.js'
import type { Connection } from '../../platform/connection.js'
import { requested } from '../../platform/indexeddb.js'
import type { LogMeta } from './format.js'

/**
 * The log's own row; rejects unless the storage still works. WebKit may return nothing for a read, instead of failing,
 * while a page goes away. So before "there is nothing" is accepted, the log's own row is asked for, in the same
 * transaction (which must include `meta`) or after it: that row always exists.
 *
 * @throws StorageFailedError if it is not
 */
export async function assertAnswering(storage: IDBTransaction | Connection): Promise<LogMeta> {
  const meta =
    'objectStore' in storage
      ? await askSentinel(storage)
      : await storage.transact(
          { stores: ['meta'], mode: 'readonly', what: say`making sure that there is nothing` },
          askSentinel,
        )
  if (meta !== undefined) return meta
  throw new StorageFailedError(
    say`The storage returns nothing, not even the row that identifies the store: this page is going away, or the store was damaged. Retry; reload the page if that persists.`,
    { outcome: 'not-written' },
  )
}

const askSentinel = (transaction: IDBTransaction): Promise<LogMeta | undefined> =>
  requested(transaction.objectStore('meta').get('log'))
