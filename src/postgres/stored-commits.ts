/** Reads of the rows of one log that only an event store needs: from any position, by stream, and backwards. */
import type { StoredEvent } from '../log/record/record-text.js'
import type { LoggedCommit, LoggedEvent } from '../server/log-store.js'
import { unpack } from './packed.js'
import type { Sql } from './sql-connection.js'
import type { SqlRow } from './sql-client.js'
import { fromSqlText, toSqlText } from './sql-text.js'

/** Which events of a stream: those with versions between two. */
export interface StreamSpan {
  readonly after: number
  readonly before: number
  readonly direction: 'forwards' | 'backwards'
  /** About how many. */
  readonly most: number
}

/** A commit without its chain. */
export type DatedCommit = Pick<LoggedCommit, 'events' | 'author'> & { readonly recorded: number }

/** Versions are stored as an `int`. */
const lastVersion = 2 ** 31 - 1

export class StoredCommits {
  readonly #sql: Sql
  readonly #schema: string
  readonly #log: number

  /** @param schema a quoted name. @param log the number of the log in that schema */
  constructor(sql: Sql, schema: string, log: number) {
    this.#sql = sql
    this.#schema = schema
    this.#log = log
  }

  /** The events of the commit that holds a position, and of those behind it; and the head, of the same moment. */
  async from(
    position: number,
    most: number,
  ): Promise<{ readonly events: readonly StoredEvent[]; readonly head: number; readonly characters: number }> {
    const rows = await this.#sql.query(
      `select null::bigint as at, head::text as events from ${this.#schema}.logs where id = $1
        union all
        (select at, events from ${this.#schema}.commits
          where log = $1 and at < $2::bigint + $3::bigint and at >= coalesce(
            (select at from ${this.#schema}.commits where log = $1 and at <= $2::bigint order by at desc limit 1), 1)
          order by at)`,
      [this.#log, position, Math.ceil(most)],
    )
    const commits = rows.filter(({ at }) => at !== null)
    const events = commits.flatMap(eventsOf)
    const length = commits.reduce((sum, row) => sum + (row['events'] as string).length, 0)
    const head = Number(rows.find(({ at }) => at === null)?.['events'] ?? 0)
    return { events, head, characters: Math.max(64, Math.ceil(length / Math.max(1, events.length))) }
  }

  /** The events of commits up to a position, the last ones first. */
  async upTo(position: number, most: number): Promise<readonly StoredEvent[]> {
    const rows = await this.#sql.query(
      `select at, events from ${this.#schema}.commits
        where log = $1 and at <= $2::bigint and at + n > $2::bigint - $3::bigint order by at desc limit $3::bigint`,
      [this.#log, position, Math.ceil(most)],
    )
    return rows.flatMap((row) => eventsOf(row).reverse())
  }

  /** The events of a stream that are in commits which hold some of these versions. */
  async ofStream(stream: string, { after, before, direction, most }: StreamSpan): Promise<readonly StoredEvent[]> {
    const isBack = direction === 'backwards'
    const order = isBack ? 'desc' : 'asc'
    const rows = await this.#sql.query(
      // A commit may hold few events of this stream and thousands of others: those count, too.
      `select at, events from (
        select c.at, c.events, h.version, sum(c.n) over (order by h.version ${order}) - c.n as before
          from ${this.#schema}.heads h join ${this.#schema}.commits c on c.log = h.log and c.at = h.at
          where h.log = $1 and h.stream = $2 and h.version > $3::bigint and h.version <= coalesce(
            (select min(version) from ${this.#schema}.heads where log = $1 and stream = $2 and version >= $4::bigint),
            ${lastVersion})
          order by h.version ${order} limit $5::bigint) as found
        where before < $5::bigint order by version ${order}`,
      [this.#log, toSqlText(stream), after, Math.min(before - 1, lastVersion), Math.ceil(most)],
    )
    const events = rows.flatMap((row) => (isBack ? eventsOf(row).reverse() : eventsOf(row)))
    return events.filter((event) => event.stream === stream)
  }

  /** The version of a stream, 0 for an unknown one. */
  async versionOf(stream: string): Promise<number> {
    const [row] = await this.#sql.query(
      `select max(version) as version from ${this.#schema}.heads where log = $1 and stream = $2`,
      [this.#log, toSqlText(stream)],
    )
    return Number(row?.['version'] ?? 0)
  }

  /** Whole commits, from the one on that holds a position. */
  async commits(position: number, most: number): Promise<readonly DatedCommit[]> {
    const rows = await this.#sql.query(
      `select at, events, author, (extract(epoch from recorded) * 1000)::float8 as recorded from ${this.#schema}.commits
        where log = $1 and at >= coalesce(
          (select at from ${this.#schema}.commits where log = $1 and at <= $2::bigint order by at desc limit 1), 1)
        order by at limit $3::bigint`,
      [this.#log, position, most],
    )
    return rows.map((row) => ({
      events: unpack(row['events'] as string, Number(row['at'])),
      author: fromSqlText(row['author'] as string),
      recorded: Math.round(Number(row['recorded'])),
    }))
  }
}

const eventsOf = (row: SqlRow): StoredEvent[] => unpack(row['events'] as string, Number(row['at'])).map(storedEvent)

/** An event of a server as an event store knows it. */
export function storedEvent({ line }: LoggedEvent): StoredEvent {
  const { commit: _, ...event } = JSON.parse(line) as StoredEvent & { commit: number }
  return event
}
