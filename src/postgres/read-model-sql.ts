/** The statements over the tables of read models: each is one round trip, and atomic. */
import type { WriteOutcome } from '../errors.js'
import { systemClock } from '../platform/clock.js'
import { impossibleIn } from '../read-model/possible-state.js'
import type { Slot, StateRow } from '../read-model/state.js'
import type { DeadLetterRecord } from '../ports.js'
import { placesOf } from './postgres-checkpoints.js'
import type { Sql } from './sql-connection.js'
import { fromSqlText, toSqlText } from './sql-text.js'

/** Rows to be stored: four lists of one length, each as JSON. */
export interface StoredRows {
  readonly tabs: string
  readonly keys: string
  /** `null` for one that is deleted. */
  readonly rows: string
  /** For each row the entries of indexes, as the text of a `bytea[]`. */
  readonly entries: string
}

/** What one change stores, as text: see the function `read_model_commit`. */
export interface StoredChange {
  readonly name: string
  readonly was: string
  readonly becomes: string
  readonly shown: Slot
  readonly slot: Slot
  readonly changes: StoredRows | undefined
  readonly indexed: boolean
  readonly letters: readonly DeadLetterRecord[]
  readonly goneLetter: number | undefined
  readonly clear: readonly Slot[]
}

/** Of each table, in one step of a sweep. */
const rowsTogether = 5_000

/** The read models of one log. */
export class ReadModelSql {
  readonly #sql: Sql
  readonly #schema: string
  readonly #log: number
  /** Whether there may be rows that a sweep has to delete: also those that another process left. */
  hasGarbage = true

  /** @param schema a quoted name. @param log the number of the log in that schema */
  constructor(sql: Sql, schema: string, log: number) {
    this.#sql = sql
    this.#schema = schema
    this.#log = log
  }

  async state(name: string): Promise<string | undefined> {
    const rows = await this.#rows<{ state: string }>(
      `select state from ${this.#schema}.read_models where log = $1 and name = $2`,
      [this.#log, toSqlText(name)],
    )
    return rows[0]?.state
  }

  /** Makes one, unless there is one. */
  async make(name: string, state: string, tables: string): Promise<void> {
    await this.#rows(
      `insert into ${this.#schema}.read_models (log, name, state, shown, tables) values ($1, $2, $3, 0, $4)
        on conflict do nothing`,
      [this.#log, toSqlText(name), state, tables],
      'unknown',
    )
  }

  /** Returns nothing if it was stored; else the stored state, as an empty text where there is none. */
  async commit(change: StoredChange): Promise<string | undefined> {
    const { name, was, becomes, shown, slot, changes, indexed, letters, goneLetter, clear } = change
    const rows = await this.#rows<{ other: string | null }>(
      `select ${this.#schema}.read_model_commit(
        $1, $2, $3, $4, $5::smallint, $6::smallint, $7::text::json, $8::text::json, $9::text::json, $10::text::json, $11,
        $12::text::json, $13::text::json, $14::bigint, $15::text::smallint[]
      ) as other`,
      [
        this.#log,
        toSqlText(name),
        was,
        becomes,
        shown,
        slot,
        changes?.tabs ?? null,
        changes?.keys ?? null,
        changes?.rows ?? null,
        changes?.entries ?? null,
        indexed,
        placesOf(letters),
        letters.length === 0 ? null : JSON.stringify(letters),
        goneLetter ?? null,
        `{${clear.join()}}`,
      ],
      'unknown',
    )
    return rows[0]?.other ?? undefined
  }

  /**
   * The state, and the text of each answer, of one moment; nothing if there is no such read model.
   *
   * @param slot by default the one that readers see
   */
  async ask(
    name: string,
    slot: Slot | undefined,
    questions: (schema: string, part: string) => readonly string[],
  ): Promise<{ readonly state: string; readonly values: (string | null)[] } | undefined> {
    const asked = questions(this.#schema, '(select part from m)')
    // A list, because the time to plan a union grows with the square of its parts.
    const list = asked.map((one) => `(${one})`).join(',\n')
    const rows = await this.#rows<{ at: unknown; value: string | null }>(
      `with m as materialized (
        select state, case ${slot ?? 'shown'} when 0 then part0 else part1 end as part
        from ${this.#schema}.read_models where log = $1 and name = $2)
      select 0 as at, state as value from m
      union all select a.at, a.value from m, unnest(array[${list}]::text[]) with ordinality as a(value, at)`,
      [this.#log, toSqlText(name)],
    )
    const state = rows.find(({ at }) => Number(at) === 0)?.value
    if (state === undefined || state === null) return undefined
    const values: (string | null)[] = asked.map(() => null)
    for (const { at, value } of rows) if (Number(at) > 0) values[Number(at) - 1] = value
    return { state, values }
  }

  /** All of them, by name; without a state where that is damaged. */
  async states(): Promise<[key: string, state: StateRow | undefined][]> {
    const rows = await this.#rows<{ name: string; state: string }>(
      `select name, state from ${this.#schema}.read_models where log = $1`,
      [this.#log],
    )
    return rows.map(({ name, state }) => [fromSqlText(name), soundState(state)])
  }

  /** Deletes one. */
  async remove(name: string): Promise<void> {
    await this.#rows(
      `with gone as (delete from ${this.#schema}.read_models where log = $1 and name = $2 returning part0, part1)
        insert into ${this.#schema}.read_model_garbage select part0 from gone union all select part1 from gone`,
      [this.#log, toSqlText(name)],
      'unknown',
    )
    await this.sweep()
  }

  /**
   * Deletes the rows of slots that were emptied, in small steps, so that no statement takes long, however many there are.
   * What it leaves the next call takes. Never rejects.
   *
   * @param ms when this time is over, it begins no further step
   */
  async sweep(ms = Infinity): Promise<void> {
    const until = systemClock.monotonic() + ms
    this.hasGarbage = true
    try {
      for (let after = 0; ;) {
        const part = await this.#sweepSome(after)
        if (part === undefined) {
          // Passed over: another one deletes it just now.
          this.hasGarbage = after > 0
          return
        }
        if (part.isStuck) after = part.part
        if (systemClock.monotonic() >= until) return
      }
    } catch {
      // The next call.
    }
  }

  /** One step, of the first part behind a number, if there is one. Stuck: another process holds what is left of it. */
  async #sweepSome(after: number): Promise<{ readonly part: number; readonly isStuck: boolean } | undefined> {
    const tables = ['rows', 'entries', 'dead_letters'].map((table) => `${this.#schema}.read_model_${table}`)
    const steps = tables.map(
      (table, at) => `step${at} as (delete from ${table} where ctid = any(array(
        select ctid from ${table} where part = (select part from one) limit ${rowsTogether} for update skip locked
      )) returning 1)`,
    )
    const [row] = await this.#rows<{ part: unknown; count: unknown }>(
      `with one as materialized (select min(part) as part from ${this.#schema}.read_model_garbage where part > $1::int),
        ${steps.join()}
        select part, ${tables.map((_, at) => `(select count(*) from step${at})`).join(' + ')} as count from one`,
      [after],
      'unknown',
    )
    if (row?.part == null) return undefined
    const part = Number(row.part)
    if (Number(row.count) > 0) return { part, isStuck: false }
    const gone = await this.#rows(
      `delete from ${this.#schema}.read_model_garbage where part = $1::int
        ${tables.map((table) => `and not exists (select from ${table} where part = $1::int)`).join(' ')} returning 1`,
      [part],
      'unknown',
    )
    return { part, isStuck: gone.length === 0 }
  }

  /** @param outcome `'unknown'` for what writes: whether it is stored is not known where the connection is lost. */
  async #rows<T>(text: string, values: readonly unknown[], outcome?: WriteOutcome): Promise<readonly T[]> {
    return (await this.#sql.query(text, values, outcome)) as readonly T[]
  }
}

/** A state that a build of this format may have stored. */
function soundState(text: string): StateRow | undefined {
  try {
    const state = JSON.parse(text) as StateRow
    return impossibleIn(state).length === 0 ? state : undefined
  } catch {
    return undefined
  }
}
