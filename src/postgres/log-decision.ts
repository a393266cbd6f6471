/** What a decision sees of a log: what others of its group added and what it adds itself, over what is stored. */
import { InvalidArgumentError } from '../errors.js'
import { say } from '../messages.js'
import { assertCommitFits } from '../server/commit-fits.js'
import type { DecisionQuestions, LastEvent, LogDecision, LoggedCommit, LoggedEvent } from '../server/log-store.js'
import type { FinalVerdict } from '../wire/protocol.js'
import {
  verdictKeys,
  type KeptRow,
  type LogRow,
  type LogTables,
  type Question,
  type Reply,
  type VerdictKey,
} from './log-tables.js'
import type { Sql } from './sql-connection.js'

/** Commits and verdicts that are not stored yet. */
class Added {
  readonly commits: LoggedCommit[] = []
  readonly events = new Map<string, LoggedEvent>()
  readonly last = new Map<string, LastEvent>()
  readonly verdicts = new Map<VerdictKey, KeptRow>()

  get isEmpty(): boolean {
    return this.commits.length === 0 && this.verdicts.size === 0
  }

  addCommit(commit: LoggedCommit): void {
    this.commits.push(commit)
    for (const event of commit.events) {
      this.events.set(event.id, event)
      this.last.set(event.stream, event)
    }
  }

  take(other: Added): void {
    for (const commit of other.commits) this.addCommit(commit)
    for (const [key, row] of other.verdicts) this.verdicts.set(key, row)
  }
}

/** A question while more may be asked with it. */
interface Asked extends Question {
  readonly ids: string[]
  readonly streams: string[]
  readonly verdicts: VerdictKey[]
}

/** How many events are read at a time. */
const pageSize = 500

/** Decisions that are stored together, one after the other, while the log is locked. */
export class DecisionGroup {
  readonly added = new Added()
  readonly row: LogRow
  readonly #sql: Sql
  readonly #tables: LogTables
  /** What is stored: nothing changes it while the log is locked. `null`: it is not there. */
  readonly #events = new Map<string, LoggedEvent | null>()
  readonly #last = new Map<string, LastEvent | null>()
  readonly #verdicts = new Map<VerdictKey, FinalVerdict | null>()
  #waiting: { readonly question: Asked; readonly reply: Promise<void> } | undefined
  /** Why nothing can be asked any more. */
  failure: unknown
  /** Of the lines that were added. */
  characters = 0
  /** Whether it asked the database itself. Together with what `know` was given that may be of several moments. */
  hasAsked = false

  constructor(sql: Sql, tables: LogTables, row: LogRow) {
    this.#sql = sql
    this.#tables = tables
    this.row = row
  }

  get head(): number {
    return this.added.commits.at(-1)?.events.at(-1)?.position ?? this.row.head
  }

  get chain(): string {
    return this.added.commits.at(-1)?.chain ?? this.row.chain
  }

  /** Looks up, by one statement, what decisions will ask for. */
  async prepare(all: readonly DecisionQuestions[]): Promise<void> {
    const { ids, streams, verdicts } = questionOf(all)
    await Promise.all([this.events(ids), this.last(streams), this.verdicts(verdicts)])
  }

  /** What is stored, as far as it was asked for. */
  know({ ids, streams, verdicts }: Question, reply: Reply): void {
    for (const id of ids) this.#events.set(id, reply.events.get(id) ?? null)
    for (const stream of streams) this.#last.set(stream, reply.last.get(stream) ?? null)
    for (const key of verdicts) this.#verdicts.set(key, reply.verdicts.get(key) ?? null)
  }

  /** Runs one decision. What it adds counts if it does not throw. */
  async run<T>(work: (log: LogDecision) => Promise<T>): Promise<T> {
    const decision = new GroupedDecision(this)
    try {
      const result = await work(decision)
      // Whatever it made of an error of the database.
      if (this.failure !== undefined) throw this.failure
      this.added.take(decision.added)
      for (const { events } of decision.added.commits) for (const { line } of events) this.characters += line.length
      return result
    } finally {
      decision.end()
    }
  }

  async events(ids: readonly string[]): Promise<(id: string) => LoggedEvent | undefined> {
    await this.#learn({ ids: ids.filter((id) => !this.#events.has(id)), streams: [], verdicts: [] })
    return (id) => this.added.events.get(id) ?? this.#events.get(id) ?? undefined
  }

  async last(streams: readonly string[]): Promise<(stream: string) => LastEvent | undefined> {
    await this.#learn({ ids: [], streams: streams.filter((stream) => !this.#last.has(stream)), verdicts: [] })
    return (stream) => this.added.last.get(stream) ?? this.#last.get(stream) ?? undefined
  }

  async verdicts(keys: readonly VerdictKey[]): Promise<(key: VerdictKey) => FinalVerdict | undefined> {
    await this.#learn({ ids: [], streams: [], verdicts: keys.filter((key) => !this.#verdicts.has(key)) })
    return (key) => this.added.verdicts.get(key)?.verdict ?? this.#verdicts.get(key) ?? undefined
  }

  async *stored(position: number): AsyncGenerator<LoggedEvent> {
    for (let after = position; after < this.row.head;) {
      // Behind a position within a commit, too.
      const commits = await this.#tried(() => this.#tables.readFrom(this.#sql, after + 1, pageSize))
      for (const event of commits.flatMap(({ events }) => events)) {
        if (event.position <= after) continue
        // Without the lock of a decision, others add meanwhile.
        if (event.position > this.row.head) return
        after = event.position
        yield event
      }
    }
  }

  /** Asks what is not known. Questions of the same turn are one statement. */
  async #learn(question: Question): Promise<void> {
    const { ids, streams, verdicts } = question
    if (ids.length + streams.length + verdicts.length === 0) return
    let waiting = this.#waiting
    if (waiting === undefined) {
      const all: Asked = { ids: [], streams: [], verdicts: [] }
      waiting = { question: all, reply: Promise.resolve().then(() => this.#ask(all)) }
      this.#waiting = waiting
    }
    for (const id of ids) waiting.question.ids.push(id)
    for (const stream of streams) waiting.question.streams.push(stream)
    for (const key of verdicts) waiting.question.verdicts.push(key)
    await waiting.reply
  }

  async #ask(question: Question): Promise<void> {
    this.#waiting = undefined
    this.know(question, await this.#tried(() => this.#tables.look(this.#sql, this.row, question)))
  }

  async #tried<T>(ask: () => Promise<T>): Promise<T> {
    if (this.failure !== undefined) throw this.failure
    this.hasAsked = true
    try {
      return await ask()
    } catch (error) {
      this.failure ??= error
      throw error
    }
  }
}

/** What decisions ask for, all together. */
export const questionOf = (all: readonly DecisionQuestions[]): Question => ({
  ids: all.flatMap(({ ids }) => ids),
  streams: all.flatMap(({ streams }) => streams),
  verdicts: all.flatMap(({ author, ids }) => ids.map(verdictKeys(author))),
})

class GroupedDecision implements LogDecision {
  readonly added = new Added()
  readonly #group: DecisionGroup
  #isOver = false

  constructor(group: DecisionGroup) {
    this.#group = group
  }

  get epoch(): string {
    return this.#group.row.epoch
  }

  get head(): number {
    return this.added.commits.at(-1)?.events.at(-1)?.position ?? this.#group.head
  }

  get chain(): string {
    return this.added.commits.at(-1)?.chain ?? this.#group.chain
  }

  async find(ids: readonly string[]): Promise<ReadonlyMap<string, LoggedEvent>> {
    this.#assertOpen()
    const below = await this.#group.events(ids)
    return found(ids, (id) => this.added.events.get(id) ?? below(id))
  }

  async last(streams: readonly string[]): Promise<ReadonlyMap<string, LastEvent>> {
    this.#assertOpen()
    const below = await this.#group.last(streams)
    return found(streams, (stream) => this.added.last.get(stream) ?? below(stream))
  }

  async verdicts(author: string, ids: readonly string[]): Promise<ReadonlyMap<string, FinalVerdict>> {
    this.#assertOpen()
    const keyOf = verdictKeys(author)
    const below = await this.#group.verdicts(ids.map(keyOf))
    return found(ids, (id) => this.added.verdicts.get(keyOf(id))?.verdict ?? below(keyOf(id)))
  }

  async *after(position: number): AsyncGenerator<LoggedEvent> {
    this.#assertOpen()
    yield* this.#group.stored(position)
    for (const { events } of [...this.#group.added.commits, ...this.added.commits])
      for (const event of events) if (event.position > position) yield event
  }

  async add(commit: LoggedCommit): Promise<void> {
    this.#assertOpen()
    await assertCommitFits(this, commit.events)
    this.#assertOpen()
    this.added.addCommit(commit)
  }

  async keep(author: string, ids: readonly string[], verdict: FinalVerdict): Promise<void> {
    this.#assertOpen()
    const keyOf = verdictKeys(author)
    for (const id of ids) this.added.verdicts.set(keyOf(id), { author, id, verdict })
  }

  /** Nothing can be added any more. */
  end(): void {
    this.#isOver = true
  }

  #assertOpen(): void {
    if (this.#isOver) throw new InvalidArgumentError('log', say`is used after its decision has ended.`)
  }
}

function found<T>(keys: readonly string[], find: (key: string) => T | undefined): Map<string, T> {
  const all = new Map<string, T>()
  for (const key of keys) {
    const value = find(key)
    if (value !== undefined) all.set(key, value)
  }
  return all
}
