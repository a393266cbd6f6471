/** What `openPostgresStore` returns, and what other files of this folder may know of it. */
import { InvalidArgumentError } from '../errors.js'
import type { EventShape } from '../events/event.js'
import type { TidemarkStore } from '../log/open.js'
import { say } from '../messages.js'
import type { LogStore } from '../server/log-store.js'
import type { CheckpointPlace } from './postgres-checkpoints.js'
import type { Database } from './sql-database.js'

/** An event store in PostgreSQL, over a log that devices can sync with. */
export type PostgresStore<E extends EventShape = EventShape> = TidemarkStore<E> & {
  /**
   * The same log as a server offers it: `serverLog(store.log)`. What devices push, projections of this store see, and
   * what `append` stores, devices pull. Closed with the store.
   */
  readonly log: LogStore
}

/** What belongs to an open store. */
export interface PostgresParts {
  readonly database: Database
  readonly place: CheckpointPlace
}

/** Enumerable, so that a copy of a store with some methods exchanged is still that store. */
export const postgresParts = Symbol('tidemark/postgres')

/** @throws InvalidArgumentError for anything that `openPostgresStore` did not return */
export function partsOf(store: unknown): PostgresParts {
  const parts = (store as { readonly [postgresParts]?: PostgresParts } | null | undefined)?.[postgresParts]
  if (parts === undefined) throw new InvalidArgumentError('store', say`must come from openPostgresStore.`)
  return parts
}
