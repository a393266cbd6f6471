/**
 * What a decision asks about commits that are long: of events that it names, those alone, and of the last events of
 * streams, their ids. So what is sent is as long as what was asked for, and not as the commits in which it is.
 */
import type { LastEvent, LoggedEvent } from '../server/log-store.js'
import { unpackOne } from './packed.js'
import type { Sql } from './sql-connection.js'

/** What is to be found in which commits. */
export interface Wanted {
  /** Where the commits begin. */
  readonly ats: readonly number[]
  readonly ids: ReadonlySet<string>
  readonly last: readonly { readonly stream: string; readonly version: number; readonly at: number }[]
}

export interface Found {
  readonly events: ReadonlyMap<string, LoggedEvent>
  readonly last: ReadonlyMap<string, LastEvent>
}

// The forms of lines, as packed.ts has them.
const string = String.raw`"(?:[^"\\]|\\.)*"`
const isHead = String.raw`line like '[%' and line ~ '^\[${string},\d+\]$'`
const idOf = String.raw`case when line like '{%' then substring(line from '^\{"type":${string}(?:,"schema":\d+)?,"id":(${string}),')
  else substring(line from '^\[(${string}),') end`
const streamOf = String.raw`case when line like '{%' then substring(head from '^\[(${string}),')
  else substring(line from '^\[${string},(${string}),') end`

/** Looks into commits, in the database. Commits never change, so it need not be of the moment of another question. */
export async function lookInside(sql: Sql, schema: string, log: number, { ats, ids, last }: Wanted): Promise<Found> {
  const rows = await sql.query(
    `with lines as materialized (
       select c.at, l.line, l.ord, ${isHead} as is_head
       from ${schema}.commits c cross join lateral unnest(string_to_array(c.events, E'\\n')) with ordinality as l(line, ord)
       where c.log = $1::int and c.at = any($2::bigint[])
     ), counted as materialized (
       select at, line, ord, is_head, count(*) filter (where is_head) over w as run,
         count(*) filter (where not is_head) over w as nth
       from lines window w as (partition by at order by ord)
     ), placed as materialized (
       select c.at, c.line, c.nth, h.line as head,
         count(*) filter (where c.line like '{%') over (partition by c.at, c.run order by c.ord) - 1 as before
       from counted c left join counted h on h.at = c.at and h.run = c.run and h.is_head
       where not c.is_head
     ), events as materialized (select placed.*, ${idOf} as id, ${streamOf} as stream from placed)
     select 1 as kind, at, nth, id, stream, line, head, before from events
       where id = any($3::text[]) or strpos(id, '\\') > 0
     union all
     (select distinct on (e.at, e.stream) 2, e.at, e.nth, e.id, e.stream, null, null, null
       from events e join unnest($4::bigint[], $5::text[]) as asked(at, stream) on asked.at = e.at and asked.stream = e.stream
       order by e.at, e.stream, e.nth desc)`,
    [
      log,
      ats,
      Array.from(ids, (id) => JSON.stringify(id)),
      last.map(({ at }) => at),
      last.map(({ stream }) => JSON.stringify(stream)),
    ],
  )
  const events = new Map<string, LoggedEvent>()
  const ends = new Map<string, LastEvent>()
  const wanted = new Map(last.map((each) => [`${each.at} ${each.stream}`, each]))
  for (const row of rows) {
    const at = Number(row['at'])
    const position = at + Number(row['nth']) - 1
    const id = JSON.parse(row['id'] as string) as string
    if (Number(row['kind']) === 1) {
      if (!ids.has(id)) continue
      events.set(
        id,
        unpackOne(row['line'] as string, row['head'] as string | null, Number(row['before']), at, position),
      )
      continue
    }
    const stream = JSON.parse(row['stream'] as string) as string
    const one = wanted.get(`${at} ${stream}`)
    if (one !== undefined) ends.set(stream, { position, id, stream, version: one.version })
  }
  return { events, last: ends }
}
