/** The commits, streams and verdicts of a log in the SQLite of a Durable Object. Nothing here waits. */
import { StorageFailedError } from '../errors.js'
import { say } from '../messages.js'
import type { LoggedCommit, LoggedEvent } from '../server/log-store.js'
import { chainStart, type FinalVerdict } from '../wire/protocol.js'
import type { DurableSql, DurableStorage } from './durable-types.js'
import { rowsOfIds, storeIds } from './id-rows.js'
import { StoredIdentity, type GivenIdentity } from './log-identity.js'
import { detached, eventIn, eventsIn, packed, unpacked, type PackedRow } from './packed-rows.js'
import { jsonLists, sqlText } from './sqlite-text.js'

/** What a decision adds. */
export interface Added {
  /** In which it was decided. */
  readonly epoch: string
  readonly commits: readonly LoggedCommit[]
  readonly kept: readonly KeptVerdicts[]
}

/** A final verdict, and what it is kept under. */
export interface KeptVerdicts {
  readonly author: string
  readonly ids: readonly string[]
  readonly verdict: FinalVerdict
}

/** Lines that follow each other, and the position of the first one. */
interface LinesFrom {
  readonly first: number
  readonly lines: readonly string[]
}

/** What a decision looks through is read in pages of this many events. */
const pageEvents = 500
/** A page has no more characters than these, but one commit. */
const pageCharacters = 1_048_576
/** The most rows that are read together. */
const mostRows = 128
/** The most verdicts that are dropped together. */
const mostDropped = 20_000

export class SqlLog {
  readonly #storage: DurableStorage
  readonly #sql: DurableSql
  readonly identity: StoredIdentity

  constructor(storage: DurableStorage, given: GivenIdentity) {
    this.#storage = storage
    this.#sql = storage.sql
    this.identity = new StoredIdentity(storage, given)
  }

  end(): { readonly head: number; readonly chain: string } {
    this.identity.read()
    const [last] = this.#sql.exec('select "end", chain from tidemark_commits order by "end" desc limit 1').toArray()
    return last === undefined
      ? { head: 0, chain: chainStart }
      : { head: last['end'] as number, chain: last['chain'] as string }
  }

  chainAt(position: number): string | undefined {
    this.identity.read()
    if (position === 0) return chainStart
    const [row] = this.#sql.exec('select chain from tidemark_commits where "end" = ?', position).toArray()
    return (row?.['chain'] as string | null | undefined) ?? undefined
  }

  read(after: number, limit: number): LoggedCommit[] {
    if (this.chainAt(after) === undefined) return []
    const found: LoggedCommit[] = []
    let [events, characters] = [0, 0]
    for (const commit of unpacked(this.#rowsBehind(after, limit))) {
      events += commit.events.length
      for (const { line } of commit.events) characters += line.length
      if (found.length > 0 && (events > limit || characters > pageCharacters)) break
      found.push(commit)
    }
    return found
  }

  /** All of them: a cursor that is not read to its end holds up SQLite until it is collected, and cannot be closed. */
  #rows(which: string, ...bindings: readonly unknown[]): PackedRow[] {
    const query = `select "end", n, author, chain, lines from tidemark_commits ${which}`
    return this.#sql.exec(query, ...bindings).toArray() as unknown as PackedRow[]
  }

  /** Rows in parts, as they are asked for: each of about as much as a page may have. */
  *#rowsBehind(position: number, limit: number): Generator<PackedRow, void> {
    const query = `select "end", n, octet_length(lines) as bytes from tidemark_commits where "end" > ? order by "end" limit ?`
    for (let at = position; ;) {
      let [end, events, bytes] = [at, 0, 0]
      for (const row of this.#sql.exec(query, at, mostRows).toArray()) {
        events += row['n'] as number
        bytes += row['bytes'] as number
        end = row['end'] as number
        // With the row that is too much, so that the reader need not ask for another part.
        if (events > limit || bytes > pageCharacters) break
      }
      if (end === at) return
      yield* this.#rows(`where "end" > ? and "end" <= ? order by "end"`, at, end)
      at = end
    }
  }

  /** The next events behind a position. The row where it begins may begin before. */
  behind(position: number): LoggedEvent[] {
    const events: LoggedEvent[] = []
    let characters = 0
    for (const { lines } of this.#rowsBehind(position, pageEvents)) {
      for (const line of lines.split('\n')) {
        const event = eventIn(line)
        if (event.position > position) events.push(event)
      }
      characters += lines.length
      if (events.length >= pageEvents || characters > pageCharacters) break
    }
    return events
  }

  find(ids: readonly string[]): Map<string, LoggedEvent> {
    const found = new Map<string, LoggedEvent>()
    const rows = rowsOfIds(this.#sql, ids)
    for (const [end, wanted] of [...rows].sort(([a], [b]) => a - b)) {
      for (const row of this.#rows('where "end" = ?', end))
        for (const event of eventsIn(row, wanted, (at) => this.#lineAt(at))) found.set(event.id, event)
    }
    return found
  }

  last(streams: readonly string[]): Map<string, LoggedEvent> {
    const positions: number[] = []
    for (const list of jsonLists(new Set(streams.map(sqlText)))) {
      const query = 'select position from tidemark_streams where stream in (select value from json_each(?))'
      for (const { position } of this.#sql.exec(query, list)) positions.push(position as number)
    }
    const found = new Map<string, LoggedEvent>()
    let row: LinesFrom | undefined
    for (const position of positions.sort((a, b) => a - b)) {
      if (row === undefined || position >= row.first + row.lines.length) row = this.#linesAt(position)
      const event = detached(eventIn(row.lines[position - row.first] as string), (at) => this.#lineAt(at))
      found.set(event.stream, event)
    }
    return found
  }

  /** The lines of the row that has a position. */
  #linesAt(position: number): LinesFrom {
    const [row] = this.#rows(`where "end" >= ? order by "end" limit 1`, position)
    const { end, n, lines } = row as PackedRow
    return { first: end - n + 1, lines: lines.split('\n') }
  }

  #lineAt(position: number): string {
    const { first, lines } = this.#linesAt(position)
    return lines[position - first] as string
  }

  verdicts(author: string, ids: readonly string[]): Map<string, FinalVerdict> {
    const names = new Map(ids.map((id) => [sqlText(id), id]))
    const found = new Map<string, FinalVerdict>()
    for (const list of jsonLists(names.keys())) {
      const query =
        'select id, verdict from tidemark_refusals where author = ? and id in (select value from json_each(?))'
      for (const { id, verdict } of this.#sql.exec(query, sqlText(author), list))
        found.set(names.get(id as string) as string, JSON.parse(verdict as string) as FinalVerdict)
    }
    return found
  }

  /** Stores all of it or, if this throws, nothing. */
  store({ epoch, commits, kept }: Added, time: number): void {
    const now = this.identity.read()
    this.#storage.transactionSync(() => {
      const first = commits[0]?.events[0]?.position
      // Decisions wait for each other. Should one not, its commits must not come to lie among those of another.
      if (epoch !== now.epoch || (first !== undefined && first !== this.end().head + 1))
        throw new StorageFailedError(say`The log moved while something was decided.`, { outcome: 'not-written' })
      const rows = commits.map((commit) => ({ commit, parts: packed(commit) }))
      for (const { end, n, author, chain, lines } of rows.flatMap(({ parts }) => parts)) {
        const query = 'insert into tidemark_commits ("end", n, author, chain, lines) values (?, ?, ?, ?, ?)'
        this.#sql.exec(query, end, n, author, chain, lines)
      }
      storeIds(this.#sql, rows)
      const last = new Map(
        commits.flatMap(({ events }) => events.map(({ stream, position }) => [stream, position] as const)),
      )
      for (const list of jsonLists([...last].map(([stream, position]) => [sqlText(stream), position])))
        this.#sql.exec(
          `insert into tidemark_streams (stream, position) select value ->> 0, value ->> 1 from json_each(?)
           where true on conflict (stream) do update set position = excluded.position`,
          list,
        )
      for (const { author, ids, verdict } of kept)
        for (const list of jsonLists(ids.map(sqlText)))
          this.#sql.exec(
            `insert or replace into tidemark_refusals (author, id, verdict, time) select ?, value, ?, ? from json_each(?)`,
            sqlText(author),
            JSON.stringify(verdict),
            time,
            list,
          )
    })
  }

  /** Drops verdicts that are older than a time, the first of them. Returns the time of the oldest that is left. */
  forget(before: number): number | undefined {
    if (!this.identity.hasBegun()) return undefined
    this.identity.read()
    this.#sql.exec(
      `delete from tidemark_refusals where (author, id) in
       (select author, id from tidemark_refusals where time < ? limit ?)`,
      before,
      mostDropped,
    )
    const [{ oldest } = {}] = this.#sql.exec('select min(time) as oldest from tidemark_refusals').toArray()
    return (oldest as number | null | undefined) ?? undefined
  }
}
