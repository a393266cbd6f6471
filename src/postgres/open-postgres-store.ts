/** `openPostgresStore`: an event store with projections and read models over the log of a server. */
import { inProcessCoordinator } from '../locks/in-process.js'
import type { EventShape } from '../events/event.js'
import { openOnServer, type EventStoreOptions, type ServerParts } from '../log/open.js'
import { systemClock } from '../platform/clock.js'
import { openSignals } from '../platform/signals.js'
import { advisoryCoordinator, type AdvisoryCoordinator } from './advisory-coordinator.js'
import { hubOf } from './hub.js'
import { postgresCheckpoints, storedCheckpoints, type CheckpointPlace } from './postgres-checkpoints.js'
import { postgresInspection } from './postgres-inspection.js'
import { PostgresLog } from './postgres-log.js'
import { openPostgresLogStore, type PostgresLogStore } from './postgres-log-store.js'
import { PostgresReadModels } from './postgres-read-models.js'
import { checkedSchema } from './postgres-schema.js'
import { postgresParts, type PostgresParts, type PostgresStore } from './postgres-store.js'
import { ReadModelSql } from './read-model-sql.js'
import type { SqlPool } from './sql-client.js'
import type { Database } from './sql-database.js'
import { quoted } from './sql-text.js'
import { StoredCommits } from './stored-commits.js'

/** What {@link openPostgresStore} takes. */
export interface PostgresStoreOptions<E extends EventShape = EventShape> extends Pick<
  EventStoreOptions<E>,
  'events' | 'codec' | 'maxEventCharacters'
> {
  /** Connections to the server that takes writes: a `Pool` of `pg`, or PGlite. It stays yours to end. */
  readonly pool: SqlPool
  /** The name of the log: 1 to 100 of the characters `A` to `Z`, `a` to `z`, `0` to `9`, `.`, `_` and `-`. */
  readonly name: string
  /** Where `migratePostgres` made the tables. @default 'tidemark' */
  readonly schema?: string
  /** Whether a log that is not there is begun; else opening it is refused. @default true */
  readonly create?: boolean
  /** The id of the log, if it is begun here: that of a log which moves here from another engine. @default a random one */
  readonly id?: string
}

/**
 * Opens the log of that name in PostgreSQL as an event store: for `execute`, projections, read models and views on the
 * server, by the same definitions as in the browser. Any number of processes may open it. `serverLog(store.log)` offers
 * the same log to devices.
 *
 * A pool needs a connection for notifications, one as long as any projection runs or waits to run, and some to work
 * with. Close stores before the pool ends.
 *
 * @throws InvalidArgumentError, InvalidNameError before anything is asked of the database
 * @throws NotMigratedError where `migratePostgres` has to be called first; UnsupportedFormatError if a newer tidemark made
 * the tables
 * @throws StorageFailedError, StorageBusyError if the database fails
 *
 * @example
 * const pool = new Pool({ connectionString: process.env.DATABASE_URL })
 * await migratePostgres(pool)
 * const store = await openPostgresStore({ pool, name: 'shop-7', events })
 * const board = await startProjection(store, orders)
 * const log = serverLog(store.log)
 */
export async function openPostgresStore<E extends EventShape = EventShape>(
  options: PostgresStoreOptions<E>,
): Promise<PostgresStore<E>> {
  let opened: { readonly log: PostgresLogStore; readonly parts: PostgresParts } | undefined
  const store = await openOnServer<E>(options, ['pool', 'schema', 'create', 'id'], async (about) => {
    const { pool, schema, create, id } = options
    const log = openPostgresLogStore({
      pool,
      log: about.name,
      ...(schema !== undefined && { schema }),
      ...(create !== undefined && { create }),
      ...(id !== undefined && { id }),
    })
    const hub = hubOf(pool, checkedSchema(schema))
    const { log: logId } = await log.identity()
    const own = quoted(hub.schema)
    const [row] = await hub.database.query(`select id from ${own}.logs where name = $1`, [about.name])
    const place: CheckpointPlace = { sql: hub.database, schema: own, log: Number(row?.['id']) }
    const parts: PostgresParts = { database: hub.database, place }
    opened = { log, parts }
    return serverParts(about, log, logId, parts, coordinatorOf(pool, hub.database, `${hub.schema} ${about.name} `))
  })
  return Object.assign(store, { log: opened?.log as PostgresLogStore, [postgresParts]: opened?.parts })
}

function serverParts(
  about: ConstructorParameters<typeof PostgresLog>[2],
  log: PostgresLogStore,
  logId: string,
  { database, place }: PostgresParts,
  coordinator: AdvisoryCoordinator,
): ServerParts {
  // For what is in this process; the log store notifies other processes, which look every 5 s as well.
  const signals = openSignals(`tidemark-postgres:${logId}`)
  log.subscribe((head) => signals.post({ kind: 'head', head }))
  const commits = new StoredCommits(database, place.schema, place.log)
  return {
    log: new PostgresLog(log, commits, about),
    signals,
    ports: { checkpoints: postgresCheckpoints(place), coordinator },
    internals: {
      inspection: postgresInspection(commits, () => storedCheckpoints(place)),
      readModels: new PostgresReadModels(new ReadModelSql(database, place.schema, place.log)),
      logId: async () => logId,
    },
    dispose() {
      coordinator.close()
      void log.close()
    },
  }
}

/** Those of PGlite: an advisory lock excludes no other user of the one connection. */
const embedded = new WeakMap<SqlPool, Map<string, AdvisoryCoordinator>>()

function coordinatorOf(pool: SqlPool, database: Database, prefix: string): AdvisoryCoordinator {
  if (!database.isEmbedded) return advisoryCoordinator(database, `tidemark ${prefix}`, systemClock)
  const all = embedded.get(pool) ?? new Map<string, AdvisoryCoordinator>()
  embedded.set(pool, all)
  const known = all.get(prefix) ?? { ...inProcessCoordinator(), close() {} }
  all.set(prefix, known)
  return known
}
