/**
 * A read model in PostgreSQL. Each method is one statement: it reads at one moment, or it compares the state that it
 * read before with the stored one, and stores nothing if they differ.
 */
import { ClosedError, InvalidArgumentError } from '../errors.js'
import { randomId } from '../events/identifier.js'
import { say } from '../messages.js'
import type { DeadLetterRecord } from '../projection/target.js'
import { letterRemoved, type Replay } from '../read-model/dead-letters.js'
import { projectionKey, type Projection } from '../read-model/define.js'
import { leftOutIn } from '../read-model/earlier-versions.js'
import { equal } from '../read-model/equal.js'
import { assertSameDefinition, fingerprintOf, handledBy } from '../read-model/fingerprint.js'
import { keysIn } from '../read-model/index-keys.js'
import type { IndexPaths } from '../read-model/index-paths.js'
import { keyOfRow, type RowKey } from '../read-model/keys.js'
import { assertPossible } from '../read-model/possible-state.js'
import type { Query, TableQuery } from '../read-model/selection.js'
import { stamped } from '../read-model/stamps.js'
import {
  committed,
  emptyState,
  workingSlot,
  type Commit,
  type RowChanges,
  type Slot,
  type StateRow,
  type Transition,
} from '../read-model/state.js'
import type { Answers, Moved, ReadModelStorage } from '../read-model/storage.js'
import { joinedQueries } from './joined-queries.js'
import { keyHex } from './key-bytes.js'
import { blobsIn, isPlainRow, rowsFrom, rowText, type BlobBytes } from './row-json.js'
import { RowQueries, TableNumbers } from './row-queries.js'
import type { ReadModelSql, StoredRows } from './read-model-sql.js'

/** The most bytes of a key: PostgreSQL keeps no more than 2,704 of an index entry, and one has two keys. */
const longestKey = 1300

/** What bytes begin with, in JSON, … */
const inJson = String.raw`\\x`
/** … and there within the text of a list of them. */
const inList = String.raw`\\\\x`

/** How often a change is tried that others come before. */
const maxTries = 1000

/** How long a change deletes what is left of slots that were emptied, in ms: the next one continues. */
const longestSweep = 200

/** What a transition stores in addition to the state. */
interface Beside {
  readonly slot?: Slot
  readonly changes?: StoredRows | undefined
  readonly letters?: readonly DeadLetterRecord[]
  readonly goneLetter?: number
}

export class PostgresRows implements ReadModelStorage {
  readonly log: string
  readonly #sql: ReadModelSql
  readonly #definition: Projection
  readonly #key: string
  readonly #numbers: TableNumbers
  /** The rows are known to be of this definition. */
  #isOfDefinition = false
  #closed = false

  constructor(sql: ReadModelSql, definition: Projection, log: string) {
    this.log = log
    this.#sql = sql
    this.#definition = definition
    this.#key = projectionKey(definition)
    this.#numbers = new TableNumbers(definition)
  }

  async open(): Promise<void> {
    await this.state()
  }

  close(): void {
    this.#closed = true
  }

  async state(): Promise<StateRow> {
    return this.#parsed(await this.#text())
  }

  move(_what: string, change: (before: StateRow) => Transition): Promise<Moved> {
    return this.#change(undefined, (before) => ({ transition: change(before) }))
  }

  async commit(change: Commit): Promise<Moved> {
    const { from, rows, letters } = change
    const slot = workingSlot(from)
    const changes = await this.#changes(rows)
    // What the state should be, so that nothing is read first.
    return this.#change(JSON.stringify(from), (before) => ({
      transition: committed(this.#key, before, change),
      beside: { slot, changes, letters },
    }))
  }

  async removeDeadLetter(position: number, replay?: Replay): Promise<Moved> {
    const changes = replay && (await this.#changes(replay.rows))
    const read = replay?.read ?? []
    return this.#change(undefined, async () => {
      // Of a later moment than the state that was read first, and the change is compared with that moment.
      const { state, values } = await this.#asked(read, undefined, position)
      const letters = values.pop() as DeadLetterRecord[]
      const found = {
        letter: letters.find((letter) => letter.position === position),
        upToIt: letters,
        rowsAsRead: read.every(({ answer }, at) => equal(values[at] ?? null, answer)),
      }
      const after = letterRemoved(this.#key, state, found, replay?.from)
      return {
        before: state,
        transition: { after, shows: replay !== undefined },
        beside: { slot: state.shown, changes, goneLetter: position },
      }
    })
  }

  async leftOutBefore(): Promise<readonly number[]> {
    return leftOutIn(new Map(await this.#sql.states()), this.#definition, this.log)
  }

  async rows(slot: Slot, table: string, keys: readonly RowKey[]): Promise<readonly unknown[]> {
    const { values } = await this.#asked([{ table, query: { kind: 'many', keys } }], slot)
    return values[0] as readonly unknown[]
  }

  async wholeTable(slot: Slot, table: string, most: number): Promise<readonly unknown[] | undefined> {
    const text = await this.#one(slot, (queries) => queries.whole(table, most))
    return text === null ? undefined : rowsFrom(text)
  }

  async lastKey(slot: Slot, table: string): Promise<RowKey | undefined> {
    const { values } = await this.#asked(
      [{ table, query: { kind: 'all', options: { direction: 'prev', limit: 1 } } }],
      slot,
    )
    const [row] = values[0] as readonly object[]
    return row && keyOfRow((this.#definition.tables[table] as { key: string }).key, row, '')
  }

  async queries(asked: readonly TableQuery[], slot?: Slot): Promise<Answers> {
    return this.#asked(asked, slot)
  }

  async letters(after: number, limit: number, slot?: Slot): Promise<DeadLetterRecord[]> {
    if (limit === 0) return []
    const text = await this.#one(slot, (_queries, schema, part) => lettersSql(schema, part, after, limit))
    return JSON.parse(text as string) as DeadLetterRecord[]
  }

  /** Bound, because it is handed on alone. */
  readonly assertKeeps = (table: string, key: RowKey, row: object): void => {
    this.#assertShort(table, say`The key of a row of '${table}'`, key)
    const { indexes = {} } = this.#definition.tables[table] as { readonly indexes?: IndexPaths }
    for (const [index, declared] of Object.entries(indexes))
      for (const one of keysIn(declared, row))
        this.#assertShort(table, say`What index '${index}' of '${table}' has`, one)
    if (!isPlainRow(row)) rowText(row, table)
  }

  #assertShort(table: string, what: string, key: unknown): void {
    if (typeof key === 'number' || (typeof key === 'string' && key.length < longestKey / 3 - 1)) return
    if (keyHex(key).length > 2 * longestKey)
      throw new InvalidArgumentError(
        what,
        say`is longer than ${longestKey} bytes, which PostgreSQL does not keep in an index of '${table}'.`,
      )
  }

  async #text(): Promise<string> {
    for (;;) {
      this.#assertOpen()
      const text = await this.#sql.state(this.#key)
      if (text !== undefined) return text
      await this.#make()
    }
  }

  #assertOpen(): void {
    if (this.#closed) throw new ClosedError(say`The read model '${this.#key}'`)
  }

  #parsed(text: string): StateRow {
    const state = assertPossible(this.#key, JSON.parse(text) as StateRow)
    if (!this.#isOfDefinition) assertSameDefinition(this.#definition, state)
    this.#isOfDefinition = true
    return state
  }

  /** Makes it if there is none. */
  async #make(): Promise<void> {
    // Random, so that no runner takes one that was made again for the one before it.
    const epoch = Math.floor(Math.random() * 2 ** 32)
    const definition = this.#definition
    const first = { ...emptyState(this.log, fingerprintOf(definition), handledBy(definition)), epoch }
    const state = stamped(first, { after: first, shows: true }, randomId())
    await this.#sql.make(this.#key, JSON.stringify(state), JSON.stringify(this.#numbers.names))
  }

  /** Stores what `decide` makes of the state, and asks it again where the state was another one. */
  async #change(guess: string | undefined, decide: (before: StateRow) => Decided | Promise<Decided>): Promise<Moved> {
    let text = guess ?? (await this.#text())
    for (let tries = 1; ; tries += 1) {
      this.#assertOpen()
      const decided = await decide(this.#parsed(text))
      const before = decided.before ?? this.#parsed(text)
      const { transition, beside } = decided
      const after = stamped(before, transition, randomId())
      const stored = await this.#sql.commit({
        name: this.#key,
        was: JSON.stringify(before),
        becomes: JSON.stringify(after),
        shown: after.shown,
        slot: beside?.slot ?? 0,
        changes: beside?.changes,
        indexed: this.#numbers.hasIndexes,
        letters: beside?.letters ?? [],
        goneLetter: beside?.goneLetter,
        clear: transition.clear ?? [],
      })
      if (stored === undefined) {
        // A commit waits for a step of it, and not for a table of millions of rows.
        if (transition.clear?.length || this.#sql.hasGarbage) await this.#sql.sweep(longestSweep)
        return { before, after }
      }
      if (tries >= maxTries) throw new Error(say`The state of '${this.#key}' is changed all the time.`)
      text = stored === '' ? await this.#text() : stored
    }
  }

  async #changes(rows: RowChanges): Promise<StoredRows | undefined> {
    const tabs: number[] = []
    const keys: string[] = []
    const texts: string[] = []
    const entries: string[] = []
    for (const [table, changes] of rows) {
      const tab = this.#numbers.table(table)
      const { indexes = {} } = this.#definition.tables[table] as { readonly indexes?: IndexPaths }
      const declared = Object.entries(indexes).map(([index, one]) => [this.#numbers.index(table, index), one] as const)
      for (const { key, row } of changes.values()) {
        tabs.push(tab)
        keys.push(`"${inJson}${keyHex(key)}"`)
        texts.push(row === null ? 'null' : rowText(row as object, table, await blobBytes(row)))
        const own =
          row === null
            ? []
            : declared.flatMap(([first, one]) => keysIn(one, row).map((under) => `${inList}${first}${keyHex(under)}`))
        entries.push(`"{${own.join()}}"`)
      }
    }
    if (tabs.length === 0) return undefined
    const list = (parts: readonly unknown[]) => `[${parts.join()}]`
    return { tabs: list(tabs), keys: list(keys), rows: list(texts), entries: list(entries) }
  }

  /** What is asked and the state, of one moment; last the dead letters up to a position, if that is given. */
  async #asked(
    asked: readonly TableQuery[],
    slot?: Slot,
    lettersUpTo?: number,
  ): Promise<Answers & { values: unknown[] }> {
    const joined = joinedQueries(asked)
    for (;;) {
      this.#assertOpen()
      const answers = await this.#sql.ask(this.#key, slot, (schema, part) => {
        const queries = new RowQueries(schema, this.#numbers, part)
        const all = joined.asked.map(({ table, query }) => queries.answer(table, query))
        return lettersUpTo === undefined ? all : [...all, lettersSql(schema, part, 0, undefined, lettersUpTo)]
      })
      if (answers !== undefined) {
        const state = this.#parsed(answers.state)
        const values = answers.values.map((text, at) => valueOf(joined.asked[at]?.query, text as string))
        return { state, values: [...joined.values(values), ...values.slice(joined.asked.length)] }
      }
      await this.#make()
    }
  }

  async #one(
    slot: Slot | undefined,
    question: (queries: RowQueries, schema: string, part: string) => string,
  ): Promise<string | null> {
    for (;;) {
      this.#assertOpen()
      const answers = await this.#sql.ask(this.#key, slot, (schema, part) => [
        question(new RowQueries(schema, this.#numbers, part), schema, part),
      ])
      if (answers !== undefined) return answers.values[0] as string | null
      await this.#make()
    }
  }
}

interface Decided {
  /** @default the state that was read before */
  readonly before?: StateRow
  readonly transition: Transition
  readonly beside?: Beside
}

/** @param query nothing for dead letters */
function valueOf(query: Query | undefined, text: string): unknown {
  if (query === undefined) return JSON.parse(text)
  if (query.kind === 'count') return Number(text)
  const rows = rowsFrom(text)
  if (query.kind === 'all') return rows
  const found = rows.map((row) => row ?? undefined)
  return query.kind === 'get' ? found[0] : found
}

export const lettersSql = (schema: string, part: string, after: number, limit?: number, upTo?: number): string =>
  `select coalesce(json_agg(l.dead_letter order by l.position), '[]')::text from (
    select dead_letter, position from ${schema}.read_model_dead_letters where part = ${part} and position > ${after}
    ${upTo === undefined ? '' : `and position <= ${upTo}`}
    order by position ${limit === undefined || limit >= 2 ** 53 ? '' : `limit ${limit}`}) l`

/** The bytes of the Blobs in a row, if it has any. */
async function blobBytes(row: unknown): Promise<BlobBytes | undefined> {
  if (isPlainRow(row)) return undefined
  const blobs = blobsIn(row)
  if (blobs.length === 0) return undefined
  return new Map(
    await Promise.all(blobs.map(async (blob) => [blob, new Uint8Array(await blob.arrayBuffer())] as const)),
  )
}
