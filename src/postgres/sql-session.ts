/** A connection that is kept: it listens, or holds locks, and is watched while it is idle. */
import { runQuery, giveBackClient, inTurn, within, type Sql } from './sql-connection.js'
import type { PgClient, SqlRow } from './sql-client.js'

/** How a connection is watched that is open for long and mostly idle: in ms. */
export interface Heartbeat {
  /** How long after the last reply something is asked. */
  readonly every: number
  /** How long the reply may take. */
  readonly within: number
}

export const usualHeartbeat: Heartbeat = { every: 15_000, within: 15_000 }

/** A connection that is taken out of the pool for as long as it is needed. */
export class Session implements Sql {
  readonly #client: PgClient
  readonly #lost: (() => void)[] = []
  readonly #beat: string
  readonly #heartbeat: Heartbeat
  readonly #inTurn = inTurn()
  /** How many statements were asked for. */
  #asked = 0
  #isOver = false
  #isLost = false
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(client: PgClient, beat: string, heartbeat: Heartbeat) {
    this.#client = client
    this.#beat = beat
    this.#heartbeat = heartbeat
    client.on('error', this.lost)
    client.on('end', this.lost)
  }

  query(text: string, values: readonly unknown[] = []): Promise<readonly SqlRow[]> {
    return this.#ask(() => runQuery(this.#client, text, values))
  }

  #ask<T>(ask: () => Promise<T>): Promise<T> {
    clearTimeout(this.#timer)
    const nth = (this.#asked += 1)
    const running = this.#inTurn(ask)
    // Behind the last one of those that wait.
    const ended = () => {
      if (!this.#isOver && this.#asked === nth) this.#timer = setTimeout(() => this.#check(), this.#heartbeat.every)
    }
    running.then(ended, ended)
    return running
  }

  /** A router may forget a connection, or the machine at its other end be gone: then nothing comes, not even an end. */
  #check(): void {
    const { within: ms } = this.#heartbeat
    const ping = () => runQuery(this.#client, this.#beat, [], 'not-written', (query) => within(query, ms))
    this.#ask(ping).catch(this.lost)
  }

  onNotification(listener: (payload: string) => void): void {
    this.#client.on('notification', (message) => listener((message as { readonly payload?: string }).payload ?? ''))
  }

  /**
   * Called once if the connection ends before `end` is called: immediately if it has, as one piece of data may hold a reply
   * and the end.
   */
  onLost(listener: () => void): void {
    if (this.#isLost) listener()
    else this.#lost.push(listener)
  }

  /** Closes the connection: what it listened to and held is of no use to others. */
  end(): void {
    if (this.#isOver) return
    this.#isOver = true
    clearTimeout(this.#timer)
    this.#client.release(true)
    // The listener for errors stays: a connection that is being closed may fail as well.
  }

  /** Gives the connection back to the pool, if it is sound: it must hold nothing. */
  giveBack(): void {
    if (this.#isOver) return
    this.#isOver = true
    clearTimeout(this.#timer)
    this.#client.removeListener('error', this.lost)
    this.#client.removeListener('end', this.lost)
    giveBackClient(this.#client, undefined)
  }

  /** The connection ended, or what it holds is not known. */
  readonly lost = (): void => {
    if (this.#isOver) return
    this.#isLost = true
    this.end()
    for (const listener of this.#lost) listener()
  }
}
