/**
 * Decisions about one log in this process: what waits while one transaction is under way is decided in the next one, all
 * of it, each with a result of its own.
 *
 * Those that say what they will ask for are decided without a lock, in two round trips: one statement looks, and one
 * stores if the log is as it was then. If it is not, another process was faster, and they are decided again while the row
 * of the log is locked, as all other decisions are.
 */
import { StorageBusyError } from '../errors.js'
import { randomId } from '../events/identifier.js'
import { say } from '../messages.js'
import { systemClock, type Clock } from '../platform/clock.js'
import type { DecisionQuestions, LogDecision } from '../server/log-store.js'
import { AwakeTime } from './awake-time.js'
import { DecisionGroup, questionOf } from './log-decision.js'
import { logRow, type LogRow, type LogTables, type Question } from './log-tables.js'
import { longestQuery, type Sql } from './sql-connection.js'
import type { Database } from './sql-database.js'
import type { Transaction } from './sql-transaction.js'

interface Waiting {
  readonly work: (log: LogDecision) => Promise<unknown>
  readonly asks: DecisionQuestions | undefined
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
  /** Begins the log if it is not there. */
  readonly create: (sql: Sql) => Promise<void>
  /** When it began to wait, ms of {@link AwakeTime}. */
  readonly since: number
  /** It has waited for too long, and its caller knows. */
  isOver: boolean
}

/** A decision that has ended, and what its caller receives when the group is stored. */
interface Ended {
  readonly waiting: Waiting
  readonly settle: () => void
}

/** Of one transaction, so that none holds the lock for long: decisions, and characters of what they add. */
const mostTogether = { decisions: 500, characters: 8 << 20 }

/** Decisions whose questions are one statement. */
const preparedTogether = 100

/** How many transactions lock the log after another process was faster. */
const locksAfterConflict = 20

/**
 * How long a decision waits while nothing is decided, in ms: as long as a statement may take. Of a database that hangs,
 * all that wait learn it then, and not one after the other.
 */
const longestWait = longestQuery

export class LogQueue {
  readonly #database: Database
  readonly #tables: LogTables
  readonly #onMoved: (head: number) => void
  readonly #onIdle: () => void
  readonly #time: AwakeTime
  #waiting: Waiting[] = []
  #running: Promise<void> | undefined
  #locksLeft = 0
  /** When the last group was decided, ms of {@link AwakeTime}. */
  #decided = -Infinity
  #cancelWatch: (() => void) | undefined

  constructor(
    database: Database,
    tables: LogTables,
    onMoved: (head: number) => void,
    onIdle: () => void,
    clock: Clock = systemClock,
  ) {
    this.#database = database
    this.#tables = tables
    this.#onMoved = onMoved
    this.#onIdle = onIdle
    this.#time = new AwakeTime(clock)
  }

  decide<T>(
    work: (log: LogDecision) => Promise<T>,
    create: (sql: Sql) => Promise<void>,
    asks?: DecisionQuestions,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const since = this.#time.now()
      const settle = { resolve: resolve as (value: unknown) => void, reject }
      this.#waiting.push({ work, asks, ...settle, create, since, isOver: false })
      this.#watch()
      this.#running ??= this.#run()
    })
  }

  /** Resolves when everything that was asked for until now has ended. */
  async settled(): Promise<void> {
    await this.#running
  }

  async #run(): Promise<void> {
    // Those of the same turn go together.
    await Promise.resolve()
    while (this.#waiting.length > 0) await this.#runGroup()
    this.#cancelWatch?.()
    this.#cancelWatch = undefined
    this.#running = undefined
    this.#onIdle()
  }

  /** Ends what waits for too long. The oldest ones are in front. May look sooner, and then looks again. */
  #watch(): void {
    if (this.#cancelWatch !== undefined) return
    const oldest = this.#waiting.find(({ isOver }) => !isOver)
    if (oldest === undefined) return
    const due = (each: Waiting) => Math.max(each.since, this.#decided) + longestWait - this.#time.now()
    this.#cancelWatch = this.#time.schedule(due(oldest), () => {
      this.#cancelWatch = undefined
      for (const each of this.#waiting) if (!each.isOver && due(each) <= 0) this.#giveUp(each)
      this.#watch()
    })
  }

  /** It stays in its place, since a group may have been asked about it already. */
  #giveUp(waiting: Waiting): void {
    waiting.isOver = true
    const message = say`Nothing was decided about the log for ${longestWait} ms. Is the database there, and is a row locked?`
    waiting.reject(new StorageBusyError(message, { outcome: 'not-written' }))
  }

  async #runGroup(): Promise<void> {
    const ended: Ended[] = []
    try {
      const head = this.#database.isEmbedded ? await this.#embedded(ended) : await this.#shared(ended)
      this.#decided = this.#time.now()
      for (const { settle } of ended) settle()
      if (head !== undefined) this.#onMoved(head)
    } catch (error) {
      // None of it is stored, or that is not known. If nothing was decided, it is the error of the first one.
      this.#waiting = this.#waiting.filter(({ isOver }) => !isOver)
      const [first] = ended.length === 0 ? this.#waiting.splice(0, 1) : []
      for (const { reject } of [...ended.map(({ waiting }) => waiting), ...(first === undefined ? [] : [first])])
        reject(error)
    }
  }

  /** Returns the head if it has moved. */
  async #shared(ended: Ended[]): Promise<number | undefined> {
    const next = this.#waiting.slice(0, preparedTogether)
    const asks = next.flatMap((each) => each.asks ?? [])
    if (this.#locksLeft === 0 && asks.length === next.length) {
      const group = await this.#looked(questionOf(asks))
      if (group !== undefined) {
        await this.#runIn(group, ended, next.length)
        if (await this.#isStored(group)) return group.head > group.row.head ? group.head : undefined
        this.#waiting.unshift(...ended.splice(0).map(({ waiting }) => waiting))
        this.#locksLeft = locksAfterConflict
      }
    }
    this.#locksLeft = Math.max(0, this.#locksLeft - 1)
    return this.#locked(ended)
  }

  /** Nothing if the log has to be begun, or its epoch, which is done under the lock. */
  async #looked(question: Question): Promise<DecisionGroup | undefined> {
    const found = await this.#tables.rowAndLook(this.#database, question)
    if (found === undefined || found.row.hasOtherOrigin) return undefined
    const group = new DecisionGroup(this.#database, this.#tables, found.row)
    group.know(question, found.reply)
    return group
  }

  /** Whether what was decided without a lock is stored or, if it adds nothing, was true at one moment. */
  async #isStored(group: DecisionGroup): Promise<boolean> {
    if (!group.added.isEmpty) return this.#tables.store(this.#database, group.row, group.added)
    if (!group.hasAsked) return true
    return (await this.#tables.row(this.#database))?.writtenBy === group.row.writtenBy
  }

  async #locked(ended: Ended[]): Promise<number | undefined> {
    const { transaction, row } = await this.#begin()
    try {
      const group = await this.#decide(transaction, await this.#inEpoch(transaction, row), ended)
      // What only looked is true already, even if the connection is lost now.
      if (group.added.isEmpty && !row.hasOtherOrigin) await transaction.rollback()
      else await transaction.commit()
      return group.head > row.head ? group.head : undefined
    } catch (error) {
      await transaction.rollback()
      throw error
    }
  }

  async #begin(): Promise<{ readonly transaction: Transaction; readonly row: LogRow }> {
    for (;;) {
      const transaction = await this.#database.begin(this.#tables.lockText)
      const row = logRow(transaction.first)
      if (row !== undefined) return { transaction, row }
      // On its own: others that ask for the log meanwhile would wait for this decision.
      await transaction.rollback()
      await this.#waiting[0]?.create(this.#database)
    }
  }

  /** Without a transaction that stays open, since PGlite has one connection for all. No other process is there. */
  async #embedded(ended: Ended[]): Promise<number | undefined> {
    const sql = this.#database
    let row = await this.#tables.row(sql)
    while (row === undefined) {
      await this.#waiting[0]?.create(sql)
      row = await this.#tables.row(sql)
    }
    const group = await this.#decide(sql, await this.#inEpoch(sql, row), ended)
    return group.head > row.head ? group.head : undefined
  }

  async #inEpoch(sql: Sql, row: LogRow): Promise<LogRow> {
    if (!row.hasOtherOrigin) return row
    await this.#tables.renew(sql, row.epoch, randomId())
    return (await this.#tables.row(sql)) ?? row
  }

  /** Runs what waits, and stores what it added. */
  async #decide(sql: Sql, row: LogRow, ended: Ended[]): Promise<DecisionGroup> {
    const group = new DecisionGroup(sql, this.#tables, row)
    await this.#runIn(group, ended, 0)
    if (!group.added.isEmpty && !(await this.#tables.store(sql, row, group.added)))
      throw new StorageBusyError(say`The log was changed by another process at the same time.`, {
        outcome: 'not-written',
      })
    return group
  }

  /**
   * @param known how many of those that wait are asked about already; the group has no others then. 0: as many as fit, and
   *   they are asked about here
   */
  async #runIn(group: DecisionGroup, ended: Ended[], known: number): Promise<void> {
    let prepared = known
    while (ended.length < mostTogether.decisions && group.characters < mostTogether.characters) {
      if (prepared === 0) {
        if (known > 0) return
        const next = this.#waiting.slice(0, preparedTogether)
        await group.prepare(next.flatMap(({ asks }) => asks ?? []))
        prepared = next.length
      }
      prepared -= 1
      const waiting = this.#waiting.shift()
      if (waiting === undefined) break
      if (waiting.isOver) continue
      const { work, resolve, reject } = waiting
      // Known to the caller before anything can fail.
      let settle = () => {}
      ended.push({ waiting, settle: () => settle() })
      await group.run(work).then(
        (value) => (settle = () => resolve(value)),
        (error: unknown) => (settle = () => reject(error)),
      )
      if (group.failure !== undefined) throw group.failure
    }
  }
}
