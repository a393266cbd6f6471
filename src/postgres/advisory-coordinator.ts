/**
 * Leadership over processes by advisory locks of PostgreSQL. They are held by a connection, so one is taken out of the
 * pool as long as something is held or waited for: one for all stores of a pool and schema. It only saves work:
 * correctness depends on each commit.
 */
import { inProcessCoordinator, acquireOptions } from '../locks/in-process.js'
import { ClosedError } from '../errors.js'
import { say } from '../messages.js'
import { sleep, type Clock } from '../platform/clock.js'
import type { Coordinator, Guard } from '../ports.js'
import { isConnectionLost } from './postgres-errors.js'
import type { Database } from './sql-database.js'
import type { Session } from './sql-session.js'
import { lockKey } from './postgres-schema.js'

/** How often one that waits tries again, in ms: less some part of it at random, so that many do not try together. */
const pause = 1000

/** Locks that this process is giving up, by their numbers: they are free, and the server does not know it yet. */
const unlocking = new Map<string, Promise<unknown>>()

export interface AdvisoryCoordinator extends Coordinator {
  /** Gives everything up; what waits is rejected. */
  close(): Promise<void>
}

/** A lock that is held here. */
interface HeldLock {
  readonly lost: AbortSignal
  /** Resolves once the server knows. */
  release(): Promise<void>
}

/** The locks of one pool and schema. */
export class AdvisoryLocks {
  readonly #database: Database
  readonly #clock: Clock
  /** A connection is given a lock that it has: within this process the order is kept here. */
  readonly #order = inProcessCoordinator()
  /** How many names are held or waited for. */
  #users = 0
  #session: Promise<Session> | undefined
  readonly #held = new Map<string, AbortController>()

  constructor(database: Database, clock: Clock) {
    this.#database = database
    this.#clock = clock
  }

  /** @param prefix what the names of locks begin with: no other log has the same */
  of(prefix: string): AdvisoryCoordinator {
    return new StoreLocks(this, prefix)
  }

  async tryAcquire(name: string): Promise<HeldLock | undefined> {
    const turn = await this.#order.tryAcquire(name)
    return turn ? this.#take(name, turn) : undefined
  }

  async acquire(name: string, signal: AbortSignal): Promise<HeldLock> {
    const turn = await this.#order.acquire(name, { signal })
    this.#users += 1
    try {
      for (;;) {
        const lock = await this.#take(name, turn, true)
        if (lock !== undefined) return lock
        signal.throwIfAborted()
        await sleep(this.#clock, pause * (1 - 0.3 * this.#clock.random()), signal)
        signal.throwIfAborted()
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
      [lockKey(name)],
    )
    return Number(row?.['held']) === 1
  }

  /** Takes the lock if it is free. Else the turn is given back, unless the caller keeps it and tries again. */
  async #take(name: string, turn: Guard, keepsTurn = false): Promise<HeldLock | undefined> {
    this.#users += 1
    let session: Session | undefined
    try {
      const key = lockKey(name)
      await unlocking.get(key)
      const opening = this.#open()
      session = await opening
      const [row] = await session.query('select pg_try_advisory_lock($1::bigint)::int as got', [key])
      if (Number(row?.['got']) === 1 && this.#session === opening) return this.#lock(name, turn, session)
      if (!keepsTurn) turn.release()
      return undefined
    } catch (error) {
      // It may hold the lock.
      if (isConnectionLost(error)) session?.lost()
      if (!keepsTurn) turn.release()
      throw error
    } finally {
      this.#leave()
    }
  }

  #lock(name: string, turn: Guard, session: Session): HeldLock {
    const lost = new AbortController()
    this.#users += 1
    this.#held.set(name, lost)
    let released: Promise<void> | undefined
    const release = async (): Promise<void> => {
      const isMine = this.#held.get(name) === lost
      if (isMine) this.#held.delete(name)
      const key = lockKey(name)
      const unlocked = isMine
        ? session.query('select pg_advisory_unlock($1::bigint)', [key]).catch(() => session.lost())
        : Promise.resolve()
      const done = unlocked.finally(() => {
        if (unlocking.get(key) === done) unlocking.delete(key)
        this.#leave()
      })
      unlocking.set(key, done)
      turn.release()
      await done
    }
    return { lost: lost.signal, release: () => (released ??= release()) }
  }

  #leave(): void {
    this.#users -= 1
    if (this.#users > 0) return
    const session = this.#session
    this.#session = undefined
    void session?.then(
      (open) => open.giveBack(),
      () => {},
    )
  }

  #open(): Promise<Session> {
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

/** The locks of one store. */
class StoreLocks implements AdvisoryCoordinator {
  readonly #locks: AdvisoryLocks
  readonly #prefix: string
  readonly #end = new AbortController()
  readonly #held = new Set<HeldLock>()

  constructor(locks: AdvisoryLocks, prefix: string) {
    this.#locks = locks
    this.#prefix = prefix
  }

  async tryAcquire(name: string): Promise<Guard | undefined> {
    this.#end.signal.throwIfAborted()
    const lock = await this.#locks.tryAcquire(this.#prefix + name)
    return lock && this.#kept(lock)
  }

  async acquire(name: string, options: { readonly signal?: AbortSignal } = {}): Promise<Guard> {
    const { signal } = acquireOptions(options)
    const wanted = AbortSignal.any([this.#end.signal, ...(signal === undefined ? [] : [signal])])
    wanted.throwIfAborted()
    return this.#kept(await this.#locks.acquire(this.#prefix + name, wanted), wanted)
  }

  isHeld(name: string): Promise<boolean> {
    return this.#locks.isHeld(this.#prefix + name)
  }

  async close(): Promise<void> {
    this.#end.abort(new ClosedError(say`The event store`))
    await Promise.all([...this.#held].map((lock) => lock.release()))
  }

  #kept(lock: HeldLock, wanted = this.#end.signal): Guard {
    if (wanted.aborted) {
      void lock.release()
      throw wanted.reason
    }
    this.#held.add(lock)
    return {
      lost: lock.lost,
      release: () => {
        this.#held.delete(lock)
        void lock.release()
      },
    }
  }
}
