/** What is asked of the rows of a read model, as SQL. Keys are in it as hexadecimal digits, so it needs no parameters. */
import type { Projection } from '../read-model/define.js'
import { indexOptions } from '../read-model/index-keys.js'
import type { KeyRange } from '../read-model/keys.js'
import { rangesOf, type Query, type Selection } from '../read-model/selection.js'
import { keyHex } from './key-bytes.js'

/** The tables and indexes of a definition by number: the same in every process that has this definition. */
export class TableNumbers {
  readonly #tables = new Map<string, number>()
  readonly #indexes = new Map<string, number>()
  readonly #isMulti = new Set<string>()

  constructor({ tables }: Projection) {
    for (const name of Object.keys(tables).sort()) {
      this.#tables.set(name, this.#tables.size)
      const { indexes = {} } = tables[name] ?? {}
      for (const index of Object.keys(indexes).sort()) {
        const of = JSON.stringify([name, index])
        this.#indexes.set(of, this.#indexes.size)
        if (indexOptions(indexes[index] ?? '').multiEntry === true) this.#isMulti.add(of)
      }
    }
  }

  get names(): readonly string[] {
    return [...this.#tables.keys()]
  }

  get hasIndexes(): boolean {
    return this.#indexes.size > 0
  }

  table(name: string): number {
    return this.#tables.get(name) as number
  }

  /** What the entries of an index begin with, in hexadecimal digits. */
  index(table: string, index: string): string {
    return wordHex(this.#indexes.get(JSON.stringify([table, index])) as number)
  }

  /** What comes behind all entries of an index. */
  behind(table: string, index: string): string {
    return wordHex((this.#indexes.get(JSON.stringify([table, index])) as number) + 1)
  }

  isMulti(table: string, index: string): boolean {
    return this.#isMulti.has(JSON.stringify([table, index]))
  }
}

const wordHex = (value: number) => value.toString(16).padStart(4, '0')

const bytea = (hex: string) => `decode('${hex}', 'hex')`

/** From the first of some bytes on, and before the second. */
interface Span {
  readonly from: string
  readonly to: string
}

/** No key begins with more than the bytes of another one, so that a byte added leads just behind it. */
const justBehind = (hex: string) => `${hex}00`

function spanOf({ lower, upper, lowerOpen, upperOpen }: KeyRange, first: string, last: string): Span {
  const bound = (key: unknown, isBehind: boolean | undefined) => {
    const hex = first + keyHex(key)
    return isBehind === true ? justBehind(hex) : hex
  }
  return {
    from: lower === undefined ? first : bound(lower, lowerOpen),
    to: upper === undefined ? last : bound(upper, upperOpen !== true),
  }
}

/** Makes SQL of questions. `part` is an expression for the number of the slot that is asked. */
export class RowQueries {
  readonly #schema: string
  readonly #numbers: TableNumbers
  readonly #part: string

  constructor(schema: string, numbers: TableNumbers, part: string) {
    this.#schema = schema
    this.#numbers = numbers
    this.#part = part
  }

  /** A text: the rows as JSON, `null` for one that is not there, or a count. */
  answer(table: string, query: Query): string {
    if (query.kind === 'get') return this.many(table, [query.key])
    if (query.kind === 'many') return this.many(table, query.keys)
    const found = this.#selected(table, query.options)
    return query.kind === 'count'
      ? `select count(*)::text from (${found}) q`
      : // Numbered, since an aggregate without an order may take rows in any.
        `select coalesce(json_agg(q.row order by q.at), '[]')::text from (
          select row, row_number() over () as at from (${found}) o) q`
  }

  many(table: string, keys: readonly unknown[]): string {
    if (keys.length === 0) return `select '[]'`
    const list = keys.map((key) => bytea(keyHex(key))).join()
    return `select json_agg((${this.#one(table, 'k.key')}) order by k.at)::text
      from unnest(array[${list}]) with ordinality as k(key, at)`
  }

  /** The rows of a table, or nothing if there are more than `most`. */
  whole(table: string, most: number): string {
    const all = `from ${this.#rows} r where ${this.#inTable(table)}`
    return `select case when (select count(*) from (select ${all} limit ${most + 1}) c) <= ${most}
      then (select coalesce(json_agg(r.row), '[]')::text ${all}) end`
  }

  get #rows(): string {
    return `${this.#schema}.read_model_rows`
  }

  /** The row of a key: looked up for each by itself, since a plan for all may be made before a table is known. */
  #one(table: string, key: string): string {
    return `select r.row from ${this.#rows} r where ${this.#inTable(table)} and r.key = ${key}`
  }

  #inTable(table: string): string {
    return `r.part = ${this.#part} and r.tab = ${this.#numbers.table(table)}`
  }

  /** A subquery with the rows that a selection finds, in its order. */
  #selected(table: string, selection: Selection): string {
    const { index, limit = Infinity, direction } = selection
    const down = direction === 'prev' ? ' desc' : ''
    const most = limit === Infinity ? '' : ` limit ${limit}`
    if (index === undefined)
      return this.#ofSpans(
        rangesOf(selection).map((range) => spanOf(range, '', 'ff')),
        most,
        (from, to, limited) =>
          `select r.row, r.key from ${this.#rows} r where ${this.#inTable(table)}
            and r.key >= ${from} and r.key < ${to} order by r.key${down}${limited}`,
        (spans) => `select row from (${spans}) s order by key${down}${most}`,
      )
    return this.#ofIndex(table, index, selection, down, most)
  }

  #ofIndex(table: string, index: string, selection: Selection, down: string, most: string): string {
    const { after } = selection
    const first = this.#numbers.index(table, index)
    const spans = rangesOf(selection).map((range) => spanOf(range, first, this.#numbers.behind(table, index)))
    const entries = `${this.#schema}.read_model_entries e where e.part = ${this.#part}`
    const order = `order by entry${down}, key${down}`
    const comesAfter = (entry: string) =>
      after === undefined
        ? ''
        : `(${entry}, key) ${down === '' ? '>' : '<'} (${bytea(first + keyHex(after.at))}, ${bytea(keyHex(after.key))})`
    const isMulti = this.#numbers.isMulti(table, index)
    // An index with an entry for each item of a list may have one row several times: where the first of them is, it counts.
    const found =
      isMulti && (most === '' || spans.length > 1)
        ? this.#ofSpans(
            spans,
            '',
            (from, to) => `select e.entry, e.key from ${entries} and e.entry >= ${from} and e.entry < ${to}`,
            (all) =>
              `select entry, key from (select distinct on (key) entry, key from (${all}) s order by key, entry${down}) d
              ${after === undefined ? '' : `where ${comesAfter('entry')}`} ${order}${most}`,
          )
        : this.#ofSpans(
            spans,
            most,
            (from, to, limited) =>
              `select e.entry, e.key from ${entries} and e.entry >= ${from} and e.entry < ${to}
              ${after === undefined ? '' : `and ${comesAfter('e.entry')}`}
              ${isMulti ? `and not ${this.#hasEarlier(table, from, to, down)}` : ''} ${order}${limited}`,
            (all) => `select entry, key from (${all}) s ${order}${most}`,
          )
    return `select (${this.#one(table, 'f.key')}) as row from (${found}) f order by f.entry${down}, f.key${down}`
  }

  /** Whether a row has an entry in a span that comes before `e`: for a page, so that it need not read all of the span. */
  #hasEarlier(table: string, from: string, to: string, down: string): string {
    return `exists (select from ${this.#rows} r cross join unnest(r.entries) as o(entry)
      where ${this.#inTable(table)} and r.key = e.key
        and o.entry >= ${from} and o.entry < ${to} and o.entry ${down === '' ? '<' : '>'} e.entry)`
  }

  /** What is found in spans, each looked up by itself. */
  #ofSpans(
    spans: readonly Span[],
    most: string,
    one: (from: string, to: string, most: string) => string,
    together: (all: string) => string,
  ): string {
    const [span, ...others] = spans
    if (span !== undefined && others.length === 0) return together(one(bytea(span.from), bytea(span.to), most))
    const values = spans.map(({ from, to }) => `(${bytea(from)}, ${bytea(to)})`).join()
    return together(
      `select found.* from (values ${values}) as span(first, last) cross join lateral (${one('span.first', 'span.last', most)}) found`,
    )
  }
}
