/**
 * Leadership over processes by advisory locks of PostgreSQL. They are held by a connection, so one is taken out of the
 * pool as long as something is held or waited for. It only saves work: correctness depends on each commit.
 */
import { inProcessCoordinator, acquireOptions } from '../locks/in-process.js'
import { ClosedError } from '../errors.js'
import { say } from '../messages.js'
import { sleep, type Clock } from '../platform/clock.js'
import type { Coordinator, Guard } from '../ports.js'
import type { Database, Session } from './sql-database.js'
import { lockKey } from './postgres-schema.js'

/** How often one that waits tries again, in ms: less some part of it at random, so that many do not try together. */
const pause = 1000

/** Locks that this process is giving up, by their numbers: they are free, and the server does not know it yet. */
const unlocking = new Map<string, Promise<unknown>>()

export interface AdvisoryCoordinator extends Coordinator {
  /** Gives everything up; what waits is rejected. */
  close(): void
}

/** @param prefix what the names of locks begin with: no other log has the same */
export function advisoryCoordinator(database: Database, prefix: string, clock: Clock): AdvisoryCoordinator {
  return new AdvisoryLocks(database, prefix, clock)
}

class AdvisoryLocks implements AdvisoryCoordinator {
  readonly #database: Database
  readonly #prefix: string
  readonly #clock: Clock
  /** A connection is given a lock that it has: within one instance the order is kept here. */
  readonly #order = inProcessCoordinator()
  readonly #end = new AbortController()
  /** How many names are held or waited for. */
  #users = 0
  #session: Promise<Session> | undefined
  readonly #held = new Map<string, AbortController>()

  constructor(database: Database, prefix: string, clock: Clock) {
    this.#database = database
    this.#prefix = prefix
    this.#clock = clock
  }

  async tryAcquire(name: string): Promise<Guard | undefined> {
    this.#end.signal.throwIfAborted()
    const turn = await this.#order.tryAcquire(name)
    return turn ? this.#take(name, turn) : undefined
  }

  async acquire(name: string, options: { readonly signal?: AbortSignal } = {}): Promise<Guard> {
    const { signal } = acquireOptions(options)
    const wanted = AbortSignal.any([this.#end.signal, ...(signal === undefined ? [] : [signal])])
    wanted.throwIfAborted()
    const turn = await this.#order.acquire(name, { signal: wanted })
    this.#users += 1
    try {
      for (;;) {
        const guard = await this.#take(name, turn, true)
        if (guard !== undefined && !wanted.aborted) return guard
        guard?.release()
        wanted.throwIfAborted()
        await sleep(this.#clock, pause * (1 - 0.3 * this.#clock.random()), wanted)
        wanted.throwIfAborted()
      }
    } catch (error) {
      turn.release()
      throw error
    } finally {
      this.#leave()
    }
  }

  async isHeld(name: string): Promise<boolean> {
    if (this.#held.has(name)) return true
    const [row] = await this.#database.query(
      `select (exists (select from pg_locks where locktype = 'advisory' and granted and objsubid = 1
        and database = (select oid from pg_database where datname = current_database())
        and (classid::bigint << 32 | objid::bigint) = $1::bigint))::int as held`,
      [this.#key(name)],
    )
    return Number(row?.['held']) === 1
  }

  close(): void {
    this.#end.abort(new ClosedError(say`The event store`))
    this.#held.clear()
    const session = this.#session
    this.#session = undefined
    void session?.then(
      (open) => open.end(),
      () => {},
    )
  }

  #key(name: string): string {
    return lockKey(`${this.#prefix}${name}`)
  }

  /** Takes the lock if it is free. Else the turn is given back, unless the caller keeps it and tries again. */
  async #take(name: string, turn: Guard, keepsTurn = false): Promise<Guard | undefined> {
    this.#users += 1
    try {
      const key = this.#key(name)
      await unlocking.get(key)
      const opening = this.#open()
      const session = await opening
      const [row] = await session.query('select pg_try_advisory_lock($1::bigint)::int as got', [key])
      if (Number(row?.['got']) === 1 && this.#session === opening) return this.#guard(name, turn, session)
      if (!keepsTurn) turn.release()
      return undefined
    } catch (error) {
      if (!keepsTurn) turn.release()
      throw error
    } finally {
      this.#leave()
    }
  }

  #guard(name: string, turn: Guard, session: Session): Guard {
    const lost = new AbortController()
    this.#users += 1
    this.#held.set(name, lost)
    let released = false
    return {
      lost: lost.signal,
      release: () => {
        if (released) return
        released = true
        const isMine = this.#held.get(name) === lost
        if (isMine) this.#held.delete(name)
        const key = this.#key(name)
        const unlocked = isMine
          ? session.query('select pg_advisory_unlock($1::bigint)', [key]).catch(() => session.end())
          : Promise.resolve()
        const done = unlocked.finally(() => {
          if (unlocking.get(key) === done) unlocking.delete(key)
          this.#leave()
        })
        unlocking.set(key, done)
        turn.release()
      },
    }
  }

  #leave(): void {
    this.#users -= 1
    if (this.#users > 0) return
    const session = this.#session
    this.#session = undefined
    void session?.then(
      (open) => open.end(),
      () => {},
    )
  }

  #open(): Promise<Session> {
    this.#end.signal.throwIfAborted()
    if (this.#session !== undefined) return this.#session
    const opening = this.#database.session()
    this.#session = opening
    const forget = () => {
      if (this.#session !== opening) return
      this.#session = undefined
      const held = [...this.#held.values()]
      this.#held.clear()
      for (const lost of held) lost.abort(new Error(say`The connection that held the lock was closed.`))
    }
    opening.then((session) => session.onLost(forget), forget)
    return opening
  }
}
