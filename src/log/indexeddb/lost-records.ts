/**
 * Records whose values the browser lost: Chromium keeps large ones in files of their own, which power cuts and disk
 * cleaners remove. A read of several records fails as a whole then, so they are read one by one.
 */
import { TidemarkError } from '../../errors.js'
import { say } from '../../messages.js'
import type { Connection } from '../../platform/connection.js'
import { namesOfLoss } from '../../platform/engine-quirks.js'
import { requested } from '../../platform/indexeddb.js'
import type { CommitRecord } from '../record/record.js'
import { firstKey, readCommits } from './queries.js'

/** Whether reading failed because a value is lost. */
export function isLoss(error: unknown): error is TidemarkError {
  return error instanceof TidemarkError && namesOfLoss.includes(causeOf(error))
}

/** Also what Firefox says, which elsewhere means that the connection is gone: reading one by one tells which it is. */
function mayBeLoss(error: unknown): error is TidemarkError {
  return isLoss(error) || (error instanceof TidemarkError && causeOf(error) === 'UnknownError')
}

/** What is read, or what comes in its place if a value of it is lost. */
export const unlessLost = <T, O>(
  reading: Promise<T>,
  otherwise: (error: TidemarkError) => O | Promise<O>,
  isLost = mayBeLoss,
): Promise<T | O> =>
  reading.catch((error: unknown) => {
    if (!isLost(error)) throw error
    return otherwise(error)
  })

/** Several records in one transaction; if that fails over one of them, one by one. */
export const readAround = (
  connection: Connection,
  what: string,
  list: (commits: IDBObjectStore) => Promise<unknown[]>,
  keysOf: (commits: IDBObjectStore) => Promise<IDBValidKey[]>,
  turns?: 'one' | 'several',
): Promise<CommitRecord[]> =>
  unlessLost(readCommits(connection, what, list, turns) as Promise<CommitRecord[]>, async () =>
    readOneByOne(connection, await readCommits(connection, what, keysOf), what),
  )

/**
 * The records at some keys, one by one. For one that cannot be read: what its keys tell (where it is, how many events
 * it has), and `lost`.
 */
export async function readOneByOne(
  connection: Connection,
  keys: readonly IDBValidKey[],
  what: string,
): Promise<CommitRecord[]> {
  const records: CommitRecord[] = []
  for (const key of keys) {
    const get = (): Promise<CommitRecord | undefined> =>
      readCommits(connection, what, (commits) => requested(commits.get(key)))
    // Twice: a connection that is gone gives the same error, and only that heals.
    const record = await unlessLost(unlessLost(get(), get), async ({ cause }) => {
      const next = await readCommits(connection, what, (commits) =>
        firstKey(commits, IDBKeyRange.lowerBound(key, true)),
      )
      const at = key as number
      const n = typeof next === 'number' ? next - at : 1
      const lost = say`the browser lost its record (${(cause as Error).message})`
      return { at, n, heads: [], commits: [], ids: [], events: '', lost }
    })
    if (record !== undefined) records.push(record)
  }
  return records
}

function causeOf(error: TidemarkError): string {
  return (error.cause as { name?: string } | undefined)?.name ?? ''
}
