/** `openPostgresStore`: an event store with projections and read models over the log of a server. */
import { inProcessCoordinator } from '../locks/in-process.js'
import { InvalidArgumentError } from '../errors.js'
import { say } from '../messages.js'
import type { EventShape } from '../events/event.js'
import { openOnServer, type EventStoreOptions, type ServerParts } from '../log/open.js'
import type { Signals } from '../platform/signals.js'
import type { AdvisoryCoordinator } from './advisory-coordinator.js'
import { hubOf, type Hub } from './hub.js'
import { postgresCheckpoints, storedCheckpoints, type CheckpointPlace } from './postgres-checkpoints.js'
import { postgresInspection } from './postgres-inspection.js'
import { PostgresLog } from './postgres-log.js'
import { openPostgresLogStore, type PostgresLogStore } from './postgres-log-store.js'
import { PostgresReadModels } from './postgres-read-models.js'
import { checkedSchema } from './postgres-schema.js'
import { postgresParts, type PostgresParts, type PostgresStore } from './postgres-store.js'
import { postgresSignals } from './postgres-signals.js'
import { ReadModelSql } from './read-model-sql.js'
import type { SqlPool } from './sql-client.js'
import { Database } from './sql-database.js'
import { quoted } from './sql-text.js'
import { StoredCommits } from './stored-commits.js'

const leastConnections = 3

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
  /**
   * The id of the log: that of a log which moves here from another engine. If the log is there with another id, opening
   * it is refused. @default a random one where the log is begun, and any where it is there
   */
  readonly id?: string
}

/**
 * Opens the log of that name in PostgreSQL as an event store: for `execute`, projections, read models and views on the
 * server, by the same definitions as in the browser. Any number of processes may open it. `serverLog(store.log)` offers
 * the same log to devices.
 *
 * A pool needs a connection for notifications, one as long as any projection runs or waits to run, and some to work
 * with: two for each `sqlProjector` that catches up. Close stores before the pool ends.
 *
 * @throws InvalidArgumentError, InvalidNameError before anything is asked of the database
 * @throws NotMigratedError where `migratePostgres` has to be called first; UnsupportedFormatError if a newer tidemark made
 * the tables
 * @throws StorageFailedError, StorageBusyError if the database fails or is not there: `waitForPostgres` waits for it
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
    const { mostConnections: most } = new Database(pool)
    if (most < leastConnections)
      throw new InvalidArgumentError(
        'pool',
        say`has max: ${most}. A store needs ${leastConnections} connections: one that listens, one that holds locks while projections run, and one to work with.`,
      )
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
    // One for each store: its statements must have ended when it is closed.
    const database = new Database(pool)
    const [row] = await database.query(`select id from ${own}.logs where name = $1`, [about.name])
    const place: CheckpointPlace = { sql: database, schema: own, log: Number(row?.['id']) }
    const parts: PostgresParts = { database, place }
    opened = { log, parts }
    const coordinator = coordinatorOf(pool, hub, `${hub.schema} ${about.name} `)
    return serverParts(about, log, postgresSignals(hub, about.name, logId), logId, parts, coordinator)
  })
  return Object.assign(store, { log: opened?.log as PostgresLogStore, [postgresParts]: opened?.parts })
}

function serverParts(
  about: ConstructorParameters<typeof PostgresLog>[2],
  log: PostgresLogStore,
  signals: Signals,
  logId: string,
  { database, place }: PostgresParts,
  coordinator: AdvisoryCoordinator,
): ServerParts {
  log.subscribe((head) => signals.post({ kind: 'head', head }))
  const commits = new StoredCommits(database, place.schema, place.log)
  return {
    log: new PostgresLog(log, commits, about),
    signals,
    ports: { checkpoints: postgresCheckpoints(place), coordinator },
    internals: {
      log: logId,
      inspection: postgresInspection(commits, () => storedCheckpoints(place)),
      readModels: new PostgresReadModels(new ReadModelSql(database, place.schema, place.log)),
      logId: async () => logId,
    },
    dispose: () => Promise.all([coordinator.close(), log.close(), database.settled()]),
  }
}

/** Those of PGlite: an advisory lock excludes no other user of the one connection. */
const embedded = new WeakMap<SqlPool, Map<string, AdvisoryCoordinator>>()

function coordinatorOf(pool: SqlPool, hub: Hub, prefix: string): AdvisoryCoordinator {
  if (!hub.database.isEmbedded) return hub.locks.of(`tidemark ${prefix}`)
  const all = embedded.get(pool) ?? new Map<string, AdvisoryCoordinator>()
  embedded.set(pool, all)
  const known = all.get(prefix) ?? { ...inProcessCoordinator(), close: async () => {} }
  all.set(prefix, known)
  return known
}
