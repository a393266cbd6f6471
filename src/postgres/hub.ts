/**
 * What all stores of one pool and schema share in this process: queues, a connection that listens, one that holds
 * locks, notifications.
 */
import { say } from '../messages.js'
import { pauseBefore } from '../platform/backoff.js'
import { systemClock } from '../platform/clock.js'
import { listenerSet, type Listeners } from '../platform/listeners.js'
import type { DecisionQuestions, LogDecision } from '../server/log-store.js'
import { AdvisoryLocks } from './advisory-coordinator.js'
import { LogQueue } from './log-queue.js'
import { LogTables } from './log-tables.js'
import { Notifier, type Arrivals } from './notifier.js'
import { assertMigrated } from './postgres-schema.js'
import type { SqlPool } from './sql-client.js'
import { Database } from './sql-database.js'
import type { Sql } from './sql-connection.js'
import { quoted } from './sql-text.js'

/** How often the heads are read while there are listeners, ms. */
const betweenLooks = 5_000
/** Pauses before it is tried again to listen. */
const retry = { delay: 100, maxDelay: 5_000, jitter: 0.5 }

interface Listening {
  readonly heads: Listeners<[head: number]>
  /** The last head that listeners were called with; -1 before the first one. */
  head: number
}

const hubs = new WeakMap<SqlPool, Map<string, Hub>>()

/** The one hub of a pool and a schema. @throws InvalidArgumentError for what is no pool */
export function hubOf(pool: SqlPool, schema: string): Hub {
  const database = new Database(pool)
  let ofPool = hubs.get(pool)
  if (ofPool === undefined) hubs.set(pool, (ofPool = new Map()))
  let hub = ofPool.get(schema)
  if (hub === undefined) ofPool.set(schema, (hub = new Hub(database, schema)))
  return hub
}

export class Hub {
  readonly database: Database
  readonly schema: string
  readonly #queues = new Map<string, LogQueue>()
  readonly #listening = new Map<string, Listening>()
  #migrated: Promise<void> | undefined
  readonly locks: AdvisoryLocks
  readonly #notifier: Notifier
  readonly #hints = new Map<string, Listeners<[message: unknown]>>()
  #looking: Promise<void> = Promise.resolve()
  /** How many looks at the heads are under way. */
  #looks = 0
  /** Ends listening; `undefined` while there is no listener. */
  #stop: (() => Promise<void>) | undefined
  #stopping: Promise<unknown> = Promise.resolve()

  constructor(database: Database, schema: string) {
    this.database = database
    this.schema = schema
    this.locks = new AdvisoryLocks(database, systemClock)
    this.#notifier = new Notifier(database, this.#channel)
  }

  /** @throws NotMigratedError, UnsupportedFormatError */
  ready(): Promise<void> {
    this.#migrated ??= assertMigrated(this.database, this.schema).catch((error: unknown) => {
      this.#migrated = undefined
      throw error
    })
    return this.#migrated
  }

  async decide<T>(
    name: string,
    work: (log: LogDecision) => Promise<T>,
    create: (sql: Sql) => Promise<void>,
    asks?: DecisionQuestions,
  ): Promise<T> {
    await this.ready()
    let queue = this.#queues.get(name)
    if (queue === undefined) {
      const tables = new LogTables(this.schema, name)
      const forget = () => void this.#queues.delete(name)
      queue = new LogQueue(this.database, tables, (head) => this.#moved(name, head), forget)
      this.#queues.set(name, queue)
    }
    return queue.decide(work, create, asks)
  }

  /** Resolves when the decisions about a log that are under way have ended, and others were notified of them. */
  async settled(name: string): Promise<void> {
    await this.#queues.get(name)?.settled()
    await Promise.all([this.#notifier.settled(), this.#looking, this.#stopping])
  }

  subscribe(name: string, listener: (head: number) => void): () => void {
    let own = this.#listening.get(name)
    if (own === undefined) this.#listening.set(name, (own = { heads: listenerSet<[number]>(), head: -1 }))
    return this.#listener(own.heads.add(listener), () => {
      if (own.heads.size === 0 && this.#listening.get(name) === own) this.#listening.delete(name)
    })
  }

  /** Calls back with what other processes post about a log. Anyone may have sent it. */
  onHint(name: string, listener: (message: unknown) => void): () => void {
    let own = this.#hints.get(name)
    if (own === undefined) this.#hints.set(name, (own = listenerSet<[unknown]>()))
    return this.#listener(own.add(listener), () => {
      if (own.size === 0 && this.#hints.get(name) === own) this.#hints.delete(name)
    })
  }

  /** Sends a hint to other processes, soon, and merged with others that say the same. In this process it is known. */
  postHint(name: string, hint: Parameters<Notifier['hint']>[1]): void {
    if (!this.database.isEmbedded) this.#notifier.hint(name, hint)
  }

  /** Listens as long as there is a listener. */
  #listener(remove: () => boolean, removed: () => void): () => void {
    this.#stop ??= this.#listen()
    return () => {
      if (!remove()) return
      removed()
      if (this.#listening.size + this.#hints.size > 0) return
      if (this.#stop !== undefined) this.#stopping = Promise.all([this.#stopping, this.#stop()])
      this.#stop = undefined
    }
  }

  /** Here immediately, elsewhere by a notification. */
  #moved(name: string, head: number): void {
    this.#tellHead(name, head)
    this.#notifier.head(name, head)
  }

  get #channel(): string {
    return `tidemark_${this.schema}`
  }

  #tellHead(name: string, head: number): void {
    const own = this.#listening.get(name)
    if (own === undefined) return
    own.head = head
    own.heads.tell(head)
  }

  /**
   * Listens, and looks every 5 s as well: notifications may be lost, and a transaction pooler forwards none. Returns how
   * to end it, which resolves once the connection is given up.
   */
  #listen(): () => Promise<void> {
    let [isOver, tries]: [boolean, number] = [false, 0]
    let end: (() => Promise<void>) | undefined
    let timer: ReturnType<typeof setTimeout> | undefined
    let beginning: Promise<unknown> = Promise.resolve()
    const again = () => {
      end = undefined
      // A connection that is lost before it listens says so twice.
      clearTimeout(timer)
      if (!isOver) timer = setTimeout(() => (beginning = begin()), pauseBefore(tries++, retry, Math.random()))
    }
    const begin = async () => {
      try {
        const stop = await this.database.listen(
          this.#channel,
          (payload) => this.#notifier.receive(payload, this.#arrivals),
          again,
        )
        if (isOver) return await stop()
        ;[end, tries] = [stop, 0]
        await this.#look()
      } catch {
        if (end === undefined) again()
      }
    }
    // One at a time: while the database hangs, each look keeps a connection.
    const looking = setInterval(() => void (this.#looks === 0 && this.#look()), betweenLooks)
    // A pool of one connection needs it for statements: then the heads are only read.
    if (this.database.mostConnections > 1) beginning = begin()
    else void this.#look()
    return async () => {
      isOver = true
      clearInterval(looking)
      clearTimeout(timer)
      await end?.().catch(() => {})
      await beginning
    }
  }

  readonly #arrivals: Arrivals = {
    head: (name, head) => this.#tellHead(name, head),
    hint: (name, message) => this.#hints.get(name)?.tell(message),
  }

  /** Passes on the heads that differ from the last ones. */
  #look(): Promise<void> {
    this.#looks += 1
    return (this.#looking = this.#lookAt()
      .catch(() => {})
      .finally(() => (this.#looks -= 1)))
  }

  async #lookAt(): Promise<void> {
    if (this.#listening.size === 0) return
    const rows = await this.database.query(
      `select name, head from ${quoted(this.schema)}.logs where name = any($1::text[])`,
      [[...this.#listening.keys()]],
    )
    for (const { name, head } of rows) {
      const own = this.#listening.get(name as string)
      const now = Number(head)
      if (own === undefined || own.head === now) continue
      const isFirst = own.head < 0
      own.head = now
      // Who has just begun to listen to an empty log has missed nothing.
      if (!isFirst || now > 0) own.heads.tell(now)
    }
  }
}

/** For messages. */
export const theLog = (name: string): string => say`The log '${name}'`
