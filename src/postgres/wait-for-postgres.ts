/** `waitForPostgres`: for a server that boots together with its database. */
import { hasCode } from '../errors.js'
import { assertSignal, onlyKnown, wholeNumber } from '../platform/arguments.js'
import { pauseBefore } from '../platform/backoff.js'
import { sleep, systemClock, type Clock } from '../platform/clock.js'
import { abortable } from '../platform/promises.js'
import type { SqlPool } from './sql-client.js'
import { Database } from './sql-database.js'

/** Options of {@link waitForPostgres}. */
export interface WaitForPostgresOptions {
  /** For how long it tries, in ms. A try that hangs may take 45 s more. @default 60000 */
  readonly within?: number
  /** Ends it: it rejects with the reason. */
  readonly signal?: AbortSignal
  /** For tests. @default that of this context */
  readonly clock?: Clock
}

/** In ms. */
const pauses = { delay: 100, maxDelay: 5_000, jitter: 0.2 }

/**
 * Resolves once the database responds, for a server that boots together with it, as with `docker compose up`. Before that
 * it tries again, after pauses that grow to 5 s. Without it `migratePostgres` and `openPostgresStore` reject the first
 * time: they are also called while requests wait for them.
 *
 * @example
 * await waitForPostgres(pool)
 * await migratePostgres(pool)
 * @throws DatabaseRefusedError immediately, where waiting does not help: a wrong password, no such database
 * @throws StorageFailedError, StorageBusyError if it did not respond in time: `cause` is the error of the last try
 * @throws InvalidArgumentError for bad options
 */
export async function waitForPostgres(pool: SqlPool, options: WaitForPostgresOptions = {}): Promise<void> {
  onlyKnown(options, ['within', 'signal', 'clock'])
  const { signal, clock = systemClock } = options
  const within = wholeNumber(options.within ?? 60_000, 'within')
  assertSignal(signal)
  const database = new Database(pool)
  const end = clock.monotonic() + within
  for (let tries = 0; ; tries += 1) {
    signal?.throwIfAborted()
    try {
      await abortable(database.query('select 1'), signal)
      return
    } catch (error) {
      signal?.throwIfAborted()
      const left = end - clock.monotonic()
      if (hasCode(error, 'database-refused') || left <= 0) throw error
      await sleep(clock, Math.min(left, pauseBefore(tries, pauses, clock.random())), signal)
    }
  }
}
