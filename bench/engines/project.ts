/** A log in PostgreSQL is projected into rows, each time from its beginning, in a process of its own. */
import { defineEvents, defineProjection, runProjection, table, type RecordedEvent } from 'tidemark'
import { openPostgresStore, sqlProjector, type PostgresStore, type ProjectorSql } from 'tidemark/postgres'
import { serverLog } from 'tidemark/server'
import { Backend, type Place } from './backend.js'
import { done, job, ready } from './program.js'
import { assertAccepted, bodiesOf, itemOf } from './workload.js'

export interface ProjectJob {
  readonly place: Place
  readonly events: number
  /** The first one is discarded unless it is the only one. */
  readonly rounds: number
}

type Item = ReturnType<typeof itemOf>
type Event = { type: 'ItemAdded'; data: Item }
interface Row {
  readonly position: number
  readonly sku: string
  readonly quantity: number
}

interface Contender {
  readonly name: string
  readonly events: number
  /** @param run a name that is new in each round */
  run(run: string): Promise<void>
  /** What is in its rows at the end. */
  read(run: string): Promise<{ readonly rows: number; readonly quantity: number }>
  readonly isByEvent: boolean
}

const { place, events: count, rounds } = job<ProjectJob>()
const { schema } = place
const backend = new Backend(place)
const { pool } = backend
const events = defineEvents<Event>()
/** For a statement for each event, which takes long. */
const few = Math.ceil(count / 10)

async function filled(name: string, events_: number): Promise<PostgresStore<Event>> {
  const store = await openPostgresStore<Event>({ pool, schema, name, events })
  const log = serverLog(store.log)
  for (const { commits } of bodiesOf(events_, 5, 1000))
    assertAccepted(await log.push({ commits }, { author: 'anna' }), commits.length)
  return store
}

/** A row for each event, or a sum for each of 500 SKUs. */
const kinds = {
  'a row for each event': {
    isByEvent: true,
    create: (name: string) => `create table ${schema}.${name} (position int primary key, sku text, quantity int)`,
    write: (name: string) =>
      `insert into ${schema}.${name} select * from json_to_recordset($1::json) as row(position int, sku text, quantity int)`,
  },
  '500 sums': {
    isByEvent: false,
    create: (name: string) => `create table ${schema}.${name} (sku text primary key, quantity int not null)`,
    write: (name: string) =>
      `insert into ${schema}.${name} as t select sku, sum(quantity) from json_to_recordset($1::json) as row(sku text, quantity int)
       group by sku on conflict (sku) do update set quantity = t.quantity + excluded.quantity`,
  },
}
type Kind = keyof typeof kinds

const inTable = async (name: string) => {
  const { rows } = await pool.query(
    `select count(*)::int as rows, sum(quantity)::int as quantity from ${schema}.${name}`,
  )
  return rows[0] as { rows: number; quantity: number }
}

const rowOf = ({ position, data: { sku, quantity } }: { readonly position: number; readonly data: Item }): Row => ({
  position,
  sku,
  quantity,
})

function withProjector(kind: Kind, form: 'apply' | 'applyAll', store: PostgresStore<Event>, of: number): Contender {
  const { isByEvent, create, write } = kinds[kind]
  return {
    name: `sqlProjector, ${form}, ${kind}`,
    events: of,
    isByEvent,
    async run(run) {
      await pool.query(create(run))
      const add = async (all: readonly RecordedEvent<Event>[], sql: ProjectorSql) => {
        await sql.query(write(run), [JSON.stringify(all.map(rowOf))])
      }
      const projector = sqlProjector<Event>(store, {
        name: run,
        ...(form === 'apply' ? { apply: (event, sql) => add([event], sql) } : { applyAll: add }),
      })
      await runProjection(store, projector)
    },
    read: inTable,
  }
}

function withReadModel(kind: Kind, store: PostgresStore<Event>, indexed = false): Contender {
  const { isByEvent } = kinds[kind]
  return {
    name: `defineProjection, ${kind}${indexed ? ', two indexes' : ''}`,
    events: count,
    isByEvent,
    async run(run) {
      const columns = table<{ id: string; sku: string; quantity: number }>()
      const projection = defineProjection(events, {
        name: run,
        tables: {
          items: indexed
            ? columns({ key: 'id', indexes: { bySku: 'sku', byQuantity: 'quantity' } })
            : columns({ key: 'id' }),
        },
        on: {
          ItemAdded: ({ position, data: { sku, quantity } }, { items }) =>
            isByEvent
              ? items.put({ id: `${position}`, sku, quantity })
              : items.update(sku, (row) => ({ id: sku, sku, quantity: (row?.quantity ?? 0) + quantity })),
        },
      })
      await runProjection(store, projection)
    },
    async read(run) {
      const { rows } = await pool.query(
        `select count(*)::int as rows, sum((r.row ->> 'quantity')::int)::int as quantity from ${schema}.read_models m
         join ${schema}.read_model_rows r on r.part = case m.shown when 0 then m.part0 else m.part1 end where m.name like $1`,
        [`${run}@%`],
      )
      return rows[0] as { rows: number; quantity: number }
    },
  }
}

/** Pages of the log, and a statement for the rows of each, in a transaction of its own. */
function byHand(kind: Kind): Contender {
  const { isByEvent, create, write } = kinds[kind]
  return {
    name: `by hand, ${kind}`,
    events: count,
    isByEvent,
    async run(run) {
      await pool.query(create(run))
      for (let after = 0; after < count;) {
        const { rows } = await pool.query(
          `select at, events from ${schema}.commits where log = (select id from ${schema}.logs where name = 'many')
           and at > $1 and at <= $1 + 1000 order by at`,
          [after],
        )
        const found: Row[] = []
        for (const { at, events: text } of rows as { at: string; events: string }[]) {
          let position = Number(at)
          for (const line of text.split('\n')) {
            if (!line.startsWith('{')) continue
            found.push(rowOf({ position, data: (JSON.parse(line) as Event).data }))
            position += 1
          }
        }
        await pool.query(write(run), [JSON.stringify(found)])
        after = (found.at(-1) as Row).position
      }
    },
    read: inTable,
  }
}

const [many, short] = [await filled('many', count), await filled('few', few)]
await pool.query('analyze')
const contenders = [
  byHand('a row for each event'),
  withProjector('a row for each event', 'applyAll', many, count),
  withReadModel('a row for each event', many),
  withReadModel('a row for each event', many, true),
  byHand('500 sums'),
  withProjector('500 sums', 'applyAll', many, count),
  withReadModel('500 sums', many),
  withProjector('a row for each event', 'apply', short, few),
]
await ready()
const times = contenders.map((): number[] => [])
const skus = (of: number) => new Set(Array.from({ length: of }, (_, n) => itemOf(n).sku)).size
const quantity = (of: number) =>
  Array.from({ length: of }, (_, n) => itemOf(n).quantity).reduce((all, one) => all + one, 0)
for (let round = 0; round < rounds; round += 1)
  for (let turn = 0; turn < contenders.length; turn += 1) {
    const which = (round + turn) % contenders.length
    const { name, events: of, run, read, isByEvent } = contenders[which] as Contender
    const own = `p_${round}_${which}`
    const start = performance.now()
    await run(own)
    const ms = performance.now() - start
    const found = await read(own)
    if (found.quantity !== quantity(of) || found.rows !== (isByEvent ? of : skus(of)))
      throw new Error(`${name} left ${JSON.stringify(found)}`)
    if (round > 0 || rounds === 1) times[which]?.push(ms)
  }
await many.close()
await short.close()
await backend.close()
done({ contenders: contenders.map(({ name, events: of }, which) => ({ name, events: of, times: times[which] })) })
