/** The rows of one log: every statement that reads or adds them. */
import { sha256 } from '../server/sha-256.js'
import type { LastEvent, LoggedCommit, LoggedEvent } from '../server/log-store.js'
import { chainStart, type FinalVerdict } from '../wire/protocol.js'
import { lookInside } from './long-commits.js'
import { pack, unpack } from './packed.js'
import type { Sql } from './sql-connection.js'
import type { SqlRow } from './sql-client.js'
import { fromSqlText, quoted, toSqlText } from './sql-text.js'

/** The row of a log. */
export interface LogRow {
  readonly id: number
  /** What devices know it by. */
  readonly log: string
  readonly epoch: string
  readonly head: number
  readonly chain: string
  /** Whether the server was started again since the epoch began, or the tables come from a dump: then a new epoch is due. */
  readonly hasOtherOrigin: boolean
  /** Which transaction wrote the row: it differs whenever something was added to the log, verdicts included. */
  readonly writtenBy: string
}

/** What a decision asks a log about. */
export interface Question {
  readonly ids: readonly string[]
  readonly streams: readonly string[]
  /** As {@link verdictKeys} makes them. */
  readonly verdicts: readonly VerdictKey[]
}

/** `<key of the author>/<key of the id>` */
export type VerdictKey = `${string}/${string}`

/** What is stored of that. What is not stored is missing. */
export interface Reply {
  readonly events: ReadonlyMap<string, LoggedEvent>
  readonly last: ReadonlyMap<string, LastEvent>
  readonly verdicts: ReadonlyMap<VerdictKey, FinalVerdict>
}

/** What is added to a log in one statement. */
export interface Additions {
  readonly commits: readonly LoggedCommit[]
  readonly verdicts: ReadonlyMap<VerdictKey, KeptRow>
}

/** A verdict, and what it is kept under. */
export interface KeptRow {
  readonly author: string
  readonly id: string
  readonly verdict: FinalVerdict
}

/**
 * An id as a UUID: itself if it is one, else a hash. Hashes have a version that no UUID has, and ids of that version are
 * hashed too, so no device can make an id that collides with that of another.
 */
export function idKey(id: string): string {
  return /^[\da-f]{8}-[\da-f]{4}-[0-9a-e][\da-f]{3}-[\da-f]{4}-[\da-f]{12}$/.test(id) ? id : hashKey(id)
}

/** Makes the keys of the verdicts of one author. */
export function verdictKeys(author: string): (id: string) => VerdictKey {
  const key = hashKey(author)
  return (id) => `${key}/${idKey(id)}`
}

function hashKey(text: string): string {
  // Halves of surrogate pairs are different texts, and the same bytes.
  const hash = sha256(toSqlText(text))
  return `${hash.slice(0, 8)}-${hash.slice(8, 12)}-f${hash.slice(12, 15)}-${hash.slice(15, 19)}-${hash.slice(19, 31)}`
}

/** Which start of which server this is, and which table: it differs after a restart, a promotion, a restore. */
const originOf = (own: string) =>
  `extract(epoch from pg_postmaster_start_time())::text || '/' || '${own}.logs'::regclass::oid::text`

export class LogTables {
  readonly #own: string
  readonly #name: string
  readonly #mostBytes: number

  /**
   * @param name checked: it is part of statements
   * @param mostBytes of commits that one look reads whole; into others it looks in the database
   */
  constructor(schema: string, name: string, mostBytes = 4 << 20) {
    this.#own = quoted(schema)
    this.#name = name
    this.#mostBytes = mostBytes
  }

  /** Locks the log until the transaction ends, and reads its row. It has no values, so that it can be sent with a `begin`. */
  get lockText(): string {
    return `${this.#rowText} for update`
  }

  get #rowText(): string {
    return `select ${this.#columns} from ${this.#own}.logs where name = '${this.#name}'`
  }

  get #columns(): string {
    return `id, identity, epoch, head, chain, xmin::text as "writtenBy", (origin <> ${originOf(this.#own)})::int as other`
  }

  get #idText(): string {
    return `(select id from ${this.#own}.logs where name = '${this.#name}')`
  }

  /** Nothing if there is no such log. */
  async row(sql: Sql): Promise<LogRow | undefined> {
    return logRow(await sql.query(this.#rowText))
  }

  /** Begins the log, unless it is there. */
  async create(sql: Sql, log: string, epoch: string): Promise<void> {
    await sql.query(
      `insert into ${this.#own}.logs (name, identity, epoch, origin, head, chain)
       values ($1, $2, $3, ${originOf(this.#own)}, 0, $4) on conflict (name) do nothing`,
      [this.#name, log, epoch, chainStart],
    )
  }

  /** Begins another epoch. Of several that notice a restart, one does. */
  async renew(sql: Sql, before: string, epoch: string): Promise<void> {
    await sql.query(
      `update ${this.#own}.logs set epoch = $3, origin = ${originOf(this.#own)} where name = $1 and epoch = $2`,
      [this.#name, before, epoch],
    )
  }

  /**
   * All that a decision wants to know, by one statement. Each row is looked up on its own (`lateral … limit`), so that no
   * plan reads a whole table, whatever the statistics say of it.
   */
  async look(sql: Sql, { id }: LogRow, question: Question): Promise<Reply> {
    const { hits, replies } = this.#lookTexts('$5::int')
    const rows = await sql.query(`with ${hits} ${replies}`, [...valuesOf(question), id])
    return this.#replyOf(sql, id, rows, question)
  }

  /** The row of the log and the same, of one moment. Nothing if there is no such log. */
  async rowAndLook(sql: Sql, question: Question): Promise<{ readonly row: LogRow; readonly reply: Reply } | undefined> {
    const { hits, replies } = this.#lookTexts('(select id from own)')
    const rows = await sql.query(
      `with own as materialized (${this.#rowText}), ${hits}
       select 0 as kind, null::text as key, null::bigint as at, to_json(own)::text as text from own union all ${replies}`,
      valuesOf(question),
    )
    const found = rows.find(({ kind }) => Number(kind) === 0)?.['text']
    const row = found === undefined ? undefined : logRow([JSON.parse(found as string) as SqlRow])
    return row === undefined ? undefined : { row, reply: await this.#replyOf(sql, row.id, rows, question) }
  }

  async #replyOf(sql: Sql, log: number, rows: readonly SqlRow[], { ids, streams }: Question): Promise<Reply> {
    const long: number[] = []
    const events = new Map<string, LoggedEvent>()
    const last = new Map<string, LastEvent>()
    const asked = new Set(ids)
    const wanted = new Map(streams.map((stream) => [toSqlText(stream), stream]))
    const lastIn = new Map<number, { stream: string; version: number; at: number }[]>()
    const verdicts = new Map<VerdictKey, FinalVerdict>()
    for (const { kind, key, at, text } of rows) {
      if (Number(kind) === 4) verdicts.set(key as VerdictKey, JSON.parse(text as string) as FinalVerdict)
      const stream = Number(kind) === 2 ? wanted.get(key as string) : undefined
      if (stream === undefined) continue
      const of = lastIn.get(Number(at)) ?? []
      lastIn.set(Number(at), of)
      of.push({ stream, version: Number(text), at: Number(at) })
    }
    for (const { kind, at, text } of rows) {
      if (Number(kind) !== 3) continue
      if (text === null) long.push(Number(at))
      else {
        const commit = unpack(text as string, Number(at))
        for (const event of commit) if (asked.has(event.id)) events.set(event.id, event)
        for (const { stream } of lastIn.get(Number(at)) ?? []) {
          const event = commit.findLast((each) => each.stream === stream)
          if (event !== undefined) last.set(stream, event)
        }
      }
    }
    if (long.length > 0) {
      const inside = { ats: long, ids: asked, last: long.flatMap((at) => lastIn.get(at) ?? []) }
      const found = await lookInside(sql, this.#own, log, inside)
      for (const [id, event] of found.events) events.set(id, event)
      for (const [stream, event] of found.last) last.set(stream, event)
    }
    return { events, last, verdicts }
  }

  /**
   * Two parts of one statement. Each row has a `kind`: 1 (in `hit` only) where an id is, 2 the last version of a stream,
   * 3 a commit in which one of those is, without its text if it is too long, 4 a verdict. `rowAndLook` adds 0, the log.
   *
   * @param log the number of the log, in SQL
   */
  #lookTexts(log: string): { readonly hits: string; readonly replies: string } {
    const own = this.#own
    return {
      hits: `hit as (
         select 1 as kind, null::text as stream, null::text as version, at from ${own}.ids where log = ${log} and id = any($1::uuid[])
         union all
         select 2, asked.stream, found.version::text, found.at from unnest($2::text[]) as asked(stream)
         cross join lateral (select at, version from ${own}.heads h where h.log = ${log} and h.stream = asked.stream
                             order by h.version desc limit 1) as found
       )`,
      replies: `select kind, stream as key, at, version as text from hit where kind = 2
       union all
       select 3, null, found.at,
         case when sum(octet_length(found.events)) over (order by found.at desc) <= ${this.#mostBytes} then found.events end
       from (select distinct at from hit) as hits cross join lateral
         (select c.at, c.events from ${own}.commits c where c.log = ${log} and c.at = hits.at limit 1) as found
       union all
       select 4, asked.author || '/' || asked.id, null, found.verdict
       from unnest($3::uuid[], $4::uuid[]) as asked(author, id) cross join lateral
         (select r.verdict from ${own}.refusals r
          where r.log = ${log} and r.id_key = asked.id and r.author_key = asked.author limit 1) as found`,
    }
  }

  /**
   * Adds it, and moves the head; false if the log is not as it was, or someone else holds its row: it never waits. It is
   * one statement, so it is a transaction of its own where none was begun.
   */
  async store(sql: Sql, before: LogRow, { commits, verdicts }: Additions): Promise<boolean> {
    const end = commits.at(-1)
    const heads = commits.flatMap((commit) => headsOf(commit))
    const events = commits.flatMap((commit) => commit.events.map((event) => ({ id: event.id, at: startOf(commit) })))
    const kept = [...verdicts]
    const own = this.#own
    const rows = await sql.query(
      `with free as (
         select id from ${own}.logs where id = $1 and head = $2 and xmin = $20::text::xid for update skip locked
       ), moved as (
         update ${own}.logs l set head = $3, chain = $4 from free where l.id = free.id returning l.id
       ), added as (
         insert into ${own}.commits (log, at, n, chain, author, events, recorded)
         select moved.id, t.at, t.n, t.chain, t.author, t.events, coalesce(to_timestamp(t.recorded / 1000), now())
         from moved, unnest($5::bigint[], $6::int[], $7::text[], $8::text[], $9::text[], $21::float8[])
           as t(at, n, chain, author, events, recorded)
       ), known as (
         insert into ${own}.ids (log, id, at) select moved.id, t.* from moved, unnest($10::uuid[], $11::bigint[]) as t
       ), ends as (
         insert into ${own}.heads (log, stream, version, at)
         select moved.id, t.* from moved, unnest($12::text[], $13::int[], $14::bigint[]) as t
       ), refused as (
         insert into ${own}.refusals (log, author_key, id_key, author, id, verdict)
         select moved.id, t.* from moved, unnest($15::uuid[], $16::uuid[], $17::text[], $18::text[], $19::text[]) as t
         on conflict (log, id_key, author_key) do update set verdict = excluded.verdict, kept = excluded.kept
       )
       select id from moved`,
      [
        before.id,
        before.head,
        end === undefined ? before.head : endOf(end),
        end === undefined ? before.chain : end.chain,
        commits.map(startOf),
        commits.map((commit) => commit.events.length),
        commits.map(({ chain }) => chain),
        commits.map(({ author }) => toSqlText(author)),
        commits.map(pack),
        events.map(({ id }) => idKey(id)),
        events.map(({ at }) => at),
        heads.map(({ stream }) => toSqlText(stream)),
        heads.map(({ version }) => version),
        heads.map(({ at }) => at),
        kept.map(([key]) => key.slice(0, 36)),
        kept.map(([key]) => key.slice(37)),
        kept.map(([, { author }]) => toSqlText(author)),
        kept.map(([, { id }]) => toSqlText(id)),
        kept.map(([, { verdict }]) => JSON.stringify(verdict)),
        before.writtenBy,
        commits.map(({ recorded }) => recorded ?? null),
      ],
      'unknown',
    )
    return rows.length === 1
  }

  /** Whole commits behind a position: one at least, and else no more events than the limit. */
  async read(sql: Sql, after: number, limit: number): Promise<LoggedCommit[]> {
    // Positions have no holes, so the last position that fits says which commits do.
    const rows = await sql.query(
      `select at, author, chain, events from ${this.#own}.commits
       where log = ${this.#idText} and at > $1 and at <= $2 and (at + n - 1 <= $2 or at = $1 + 1) order by at`,
      [after, after + limit],
    )
    return rows.map((row) => ({
      author: fromSqlText(row['author'] as string),
      events: unpack(row['events'] as string, Number(row['at'])),
      chain: row['chain'] as string,
    }))
  }

  /** The commit that holds a position, and those behind it as far as the limit. */
  async readFrom(sql: Sql, position: number, limit: number): Promise<LoggedCommit[]> {
    const [row] = await sql.query(
      `select max(at) as at from ${this.#own}.commits where log = ${this.#idText} and at <= $1`,
      [position],
    )
    return row?.['at'] == null ? [] : this.read(sql, Number(row['at']) - 1, limit)
  }

  /** The chain behind a position other than 0, if a commit ends there. */
  async chainAt(sql: Sql, position: number): Promise<string | undefined> {
    const [row] = await sql.query(
      `select chain from (select at + n - 1 as "end", chain from ${this.#own}.commits
       where log = ${this.#idText} and at <= $1 order by at desc limit 1) as last where "end" = $1`,
      [position],
    )
    return row?.['chain'] as string | undefined
  }
}

const unique = <T extends string>(texts: readonly T[]): T[] => [...new Set(texts)]

const startOf = ({ events }: LoggedCommit): number => (events[0] as LoggedEvent).position

const endOf = ({ events }: LoggedCommit): number => (events.at(-1) as LoggedEvent).position

/** The last event of each stream of a commit. */
function headsOf(commit: LoggedCommit): { stream: string; version: number; at: number }[] {
  const versions = new Map(commit.events.map(({ stream, version }) => [stream, version]))
  return Array.from(versions, ([stream, version]) => ({ stream, version, at: startOf(commit) }))
}

/** The row that `LogTables.lockText` reads; `undefined` where that log has no row. */
export function logRow([row]: readonly SqlRow[]): LogRow | undefined {
  if (row === undefined) return undefined
  return {
    id: Number(row['id']),
    log: row['identity'] as string,
    epoch: row['epoch'] as string,
    head: Number(row['head']),
    chain: row['chain'] as string,
    hasOtherOrigin: Number(row['other']) === 1,
    writtenBy: row['writtenBy'] as string,
  }
}

const valuesOf = ({ ids, streams, verdicts }: Question): string[][] => [
  unique(ids.map(idKey)),
  unique(streams).map(toSqlText),
  unique(verdicts).map((key) => key.slice(0, 36)),
  unique(verdicts).map((key) => key.slice(37)),
]
