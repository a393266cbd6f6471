/** The engines that run within a process of Node, and what they ask of PostgreSQL, counted. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { openFileLogStore } from 'tidemark/file'
import { openPostgresLogStore } from 'tidemark/postgres'
import { memoryLogStore, type LogStore } from 'tidemark/server'

/** Where logs are kept. */
export interface Place {
  readonly engine: 'memory' | 'file' | 'postgres'
  /** Of files. */
  readonly folder: string
  /** Of PostgreSQL. */
  readonly url: string
  readonly schema: string
  /** The most connections to PostgreSQL. @default 10 */
  readonly connections?: number
}

/** What was asked of PostgreSQL. */
export interface Counts {
  roundTrips: number
  transactions: number
}

export class Backend {
  readonly counts: Counts = { roundTrips: 0, transactions: 0 }
  readonly pool: pg.Pool
  readonly #place: Place
  readonly #stores = new Map<string, Promise<LogStore>>()

  constructor(place: Place) {
    this.#place = place
    this.pool = new pg.Pool({ connectionString: place.url, max: place.connections ?? 10 })
    this.pool.on('error', (error) => console.error(error))
    this.pool.on('connect', (client) => count(client, this.counts))
  }

  /** In PostgreSQL for each request, as the docs do it; else once. */
  store(log: string): Promise<LogStore> {
    const { engine, folder, schema } = this.#place
    if (engine === 'postgres') return Promise.resolve(openPostgresLogStore({ pool: this.pool, log, schema }))
    let store = this.#stores.get(log)
    if (store === undefined) {
      if (engine === 'file') mkdirSync(folder, { recursive: true })
      store =
        engine === 'memory' ? Promise.resolve(memoryLogStore()) : openFileLogStore({ path: join(folder, `${log}.log`) })
      this.#stores.set(log, store)
    }
    return store
  }

  async close(): Promise<void> {
    for (const store of this.#stores.values()) await (await store).close()
    await this.pool.end()
  }
}

/** A statement, or several in one text, is a round trip. Outside of `begin` and `commit` it is a transaction as well. */
function count(client: pg.ClientBase, counts: Counts): void {
  const query = client.query.bind(client) as (...given: unknown[]) => unknown
  let isOpen = false
  client.query = ((...given: unknown[]) => {
    const [first] = given as [string | { readonly text?: string }]
    const text = (typeof first === 'string' ? first : (first.text ?? '')).trimStart().toLowerCase()
    counts.roundTrips += 1
    if (text.startsWith('begin')) isOpen = true
    const isEnd = text.startsWith('commit') || text.startsWith('rollback')
    if (isEnd || !isOpen) counts.transactions += 1
    if (isEnd) isOpen = false
    return query(...given)
  }) as typeof client.query
}
