/** What all stores of one pool and schema share in this process: queues, one listening connection, notifications. */
import { say } from '../messages.js'
import { pauseBefore } from '../platform/backoff.js'
import { listenerSet, type Listeners } from '../platform/listeners.js'
import type { DecisionQuestions, LogDecision } from '../server/log-store.js'
import { LogQueue } from './log-queue.js'
import { LogTables } from './log-tables.js'
import { assertMigrated } from './postgres-schema.js'
import type { SqlPool } from './sql-client.js'
import { Database, type Sql } from './sql-database.js'
import { quoted } from './sql-text.js'

/** In ms. */
const betweenNotifications = 10
const betweenLooks = 5_000
const retry = { delay: 100, maxDelay: 5_000, jitter: 0.5 }

/** What PostgreSQL takes in one notification is 8,000 bytes. Names of logs have one byte a character. */
const longestPayload = 7_500

interface Listening {
  readonly heads: Listeners<[head: number]>
  /** The last one that listeners received. */
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
  /** Heads of which other processes were not notified yet, by log. */
  readonly #untold = new Map<string, number>()
  #isTelling = false
  /** Ends listening; nothing while no one listens. */
  #stop: (() => void) | undefined

  constructor(database: Database, schema: string) {
    this.database = database
    this.schema = schema
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

  /** Resolves when the decisions about a log that are under way have ended. */
  async settled(name: string): Promise<void> {
    await this.#queues.get(name)?.settled()
  }

  subscribe(name: string, listener: (head: number) => void): () => void {
    let own = this.#listening.get(name)
    if (own === undefined) this.#listening.set(name, (own = { heads: listenerSet<[number]>(), head: -1 }))
    const remove = own.heads.add(listener)
    this.#stop ??= this.#listen()
    return () => {
      if (!remove() || own.heads.size > 0) return
      if (this.#listening.get(name) === own) this.#listening.delete(name)
      if (this.#listening.size > 0) return
      this.#stop?.()
      this.#stop = undefined
    }
  }

  /** Here immediately, elsewhere by a notification that is no part of the transaction: those wait for each other. */
  #moved(name: string, head: number): void {
    this.#hear(name, head)
    this.#untold.set(name, head)
    if (!this.#isTelling) void this.#tell()
  }

  async #tell(): Promise<void> {
    this.#isTelling = true
    while (this.#untold.size > 0) {
      let payload = ''
      for (const [name, head] of this.#untold) {
        const line = `${name} ${head}\n`
        if (payload.length + line.length > longestPayload) break
        payload += line
        this.#untold.delete(name)
      }
      // What is lost is found by those that look, so it need not wait for the disk.
      await this.database
        .query(`select set_config('synchronous_commit', 'off', true), pg_notify($1, $2)`, [this.#channel, payload])
        .catch(() => {})
      await pause(betweenNotifications)
    }
    this.#isTelling = false
  }

  get #channel(): string {
    return `tidemark_${this.schema}`
  }

  #hear(name: string, head: number): void {
    const own = this.#listening.get(name)
    if (own === undefined) return
    own.head = head
    own.heads.tell(head)
  }

  /** Listens, and looks every 5 s as well: notifications may be lost, and a transaction pooler forwards none. */
  #listen(): () => void {
    let [isOver, tries]: [boolean, number] = [false, 0]
    let end: (() => Promise<void>) | undefined
    let timer: ReturnType<typeof setTimeout> | undefined
    const again = () => {
      end = undefined
      if (!isOver) timer = setTimeout(() => void begin(), pauseBefore(tries++, retry, Math.random()))
    }
    const begin = async () => {
      try {
        const stop = await this.database.listen(this.#channel, (payload) => this.#heard(payload), again)
        if (isOver) return await stop()
        ;[end, tries] = [stop, 0]
        await this.#look()
      } catch {
        if (end === undefined) again()
      }
    }
    const looking = setInterval(() => void this.#look().catch(() => {}), betweenLooks)
    void begin()
    return () => {
      isOver = true
      clearInterval(looking)
      clearTimeout(timer)
      void end?.().catch(() => {})
    }
  }

  #heard(payload: string): void {
    for (const line of payload.split('\n')) {
      const [name = '', head = ''] = line.split(' ')
      if (/^\d{1,15}$/.test(head)) this.#hear(name, Number(head))
    }
  }

  /** Passes on the heads that differ from the last ones. */
  async #look(): Promise<void> {
    const rows = await this.database.query(
      `select name, head from ${quoted(this.schema)}.logs where name = any($1::text[])`,
      [[...this.#listening.keys()]],
    )
    for (const { name, head } of rows) {
      const own = this.#listening.get(name as string)
      if (own === undefined) continue
      const isFirst = own.head < 0
      if (own.head !== Number(head)) own.head = Number(head)
      else continue
      if (!isFirst || Number(head) > 0) own.heads.tell(own.head)
    }
  }
}

const pause = (ms: number) => new Promise<void>((resolve) => void setTimeout(resolve, ms))

/** For messages. */
export const theLog = (name: string): string => say`The log '${name}'`
