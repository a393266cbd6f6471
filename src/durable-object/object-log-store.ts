/** The log of a Durable Object as a store of a server: decisions one after the other, each stored in one transaction. */
import { ClosedError, InvalidArgumentError, StorageFailedError, TidemarkError } from '../errors.js'
import { say } from '../messages.js'
import { onlyKnown, wholeNumber } from '../platform/arguments.js'
import { systemTime } from '../platform/clock.js'
import { listenerSet, type Listeners } from '../platform/listeners.js'
import { isObject } from '../platform/objects.js'
import type { LogDecision, LogStore } from '../server/log-store.js'
import type { DurableContext } from './durable-types.js'
import { ObjectDecision } from './object-decision.js'
import type { GivenIdentity } from './log-identity.js'
import { SqlLog } from './sql-log.js'

/** Options of {@link durableLogStore}. */
export interface DurableLogStoreOptions {
  /**
   * The id of a log that begins in this object: 1 to 100 of the characters `A` to `Z`, `a` to `z`, `0` to `9`, `.`, `_` and
   * `-`. A log that is there keeps its own. @default a random one
   */
  readonly log?: string
  /**
   * Begins a new epoch when it is another one than the log was last opened with. An operator who changes it, such as by
   * a variable of the Worker, to a value that it never had before logs go back to an earlier state, need do nothing
   * afterwards: docs/durable-objects.md. @default ''
   */
  readonly generation?: string
  /** The time in ms since 1970, for verdicts, which are kept for 90 days. @default Date.now */
  readonly now?: () => number
}

/** A {@link LogStore} in a Durable Object. */
export interface DurableLogStore extends LogStore {
  /**
   * Begins a new epoch. Call it first thing after a point-in-time recovery: what the object said since that time is
   * forgotten, and requests that rely on it are then not looked at. Loses nothing, and is safe at any time: each device pulls once more.
   */
  renewEpoch(): Promise<void>
  /**
   * Drops verdicts that are older than 90 days. The `alarm` of `durableLog` calls it.
   *
   * @returns when the next one is due, in ms since 1970; nothing if there are no verdicts
   */
  prune(): Promise<number | undefined>
}

/** How long final verdicts are kept, ms. */
const verdictLife = 90 * 86_400_000

/** What all stores of one object have in common. */
interface Shared {
  readonly log: SqlLog
  readonly given: GivenIdentity
  readonly moved: Listeners<[head: number]>
  /** Settles when the last decision in the queue has ended. */
  turn: Promise<unknown>
}

const objects = new WeakMap<DurableContext, Shared>()

/**
 * The log of a Durable Object, in its SQLite. What a decision adds is stored in one transaction; the runtime holds every
 * response back until that is durable.
 *
 * @param ctx what the constructor of the object gets
 *
 * @example
 * const log = serverLog(durableLogStore(ctx))
 *
 * @throws InvalidArgumentError for an object without SQLite, for an id that cannot be one, and for another `log` or
 * `generation` than that with which the log of the same object was opened before
 */
export function durableLogStore(ctx: DurableContext, options: DurableLogStoreOptions = {}): DurableLogStore {
  return openObjectLog(ctx, options)
}

/** The store, and what only its object asks for. */
export interface ObjectLog extends DurableLogStore {
  /** Whether there is a log: most of what is asked for begins one. */
  hasBegun(): boolean
}

/** @param onKept called when verdicts were kept, with the time when they may be dropped */
export function openObjectLog(
  ctx: DurableContext,
  options: DurableLogStoreOptions,
  onKept: (due: number) => void = () => {},
): ObjectLog {
  onlyKnown(options, ['log', 'generation', 'now'])
  if (!isObject(ctx) || typeof (ctx as Partial<DurableContext>).storage?.sql?.exec !== 'function')
    throw new InvalidArgumentError('ctx', say`must be the state of a Durable Object with SQLite (new_sqlite_classes).`)
  const { log, generation, now = systemTime } = options
  if (log !== undefined && !/^[\w.-]{1,100}$/.test(log))
    throw new InvalidArgumentError('log', say`must have 1 to 100 of the characters A-Z, a-z, 0-9, '.', '_' and '-'.`)
  if (generation !== undefined && typeof generation !== 'string')
    throw new InvalidArgumentError('generation', say`must be a text.`)
  let shared = objects.get(ctx)
  if (shared === undefined) {
    const given = { log, generation }
    shared = { log: new SqlLog(ctx.storage, given), given, moved: listenerSet(), turn: Promise.resolve() }
    objects.set(ctx, shared)
  }
  for (const [name, value] of Object.entries({ log, generation }))
    if (value !== undefined && value !== shared.given[name as keyof GivenIdentity])
      throw new InvalidArgumentError(name, say`must be that with which the log of this object was opened first.`)
  return new ObjectLogStore(shared, now, onKept)
}

class ObjectLogStore implements ObjectLog {
  readonly #shared: Shared
  readonly #now: () => number
  readonly #onKept: (due: number) => void
  readonly #undo = new Set<() => void>()
  #isClosed = false

  constructor(shared: Shared, now: () => number, onKept: (due: number) => void) {
    this.#shared = shared
    this.#now = now
    this.#onKept = onKept
  }

  hasBegun(): boolean {
    return this.#stored((log) => log.identity.hasBegun())
  }

  async identity(): Promise<{ readonly log: string; readonly epoch: string }> {
    return this.#stored((log) => log.identity.read())
  }

  async head(): Promise<number> {
    return this.#stored((log) => log.end().head)
  }

  async chainAt(position: number): Promise<string | undefined> {
    return this.#stored((log) => log.chainAt(wholeNumber(position, 'position')))
  }

  async read(after: number, limit: number) {
    return this.#stored((log) => log.read(wholeNumber(after, 'after'), wholeNumber(limit, 'limit', 1)))
  }

  decide<T>(work: (log: LogDecision) => Promise<T>): Promise<T> {
    return this.#queued(async () => {
      const decision = this.#stored((log) => new ObjectDecision(log, (ask) => this.#stored(ask)))
      let value: T
      try {
        value = await work(decision)
      } finally {
        decision.end()
      }
      if (decision.isEmpty) return value
      // Nothing waits from here on, so it is stored on what the decision saw, or not at all.
      const now = this.#now()
      this.#stored((log) => log.store(decision, now))
      if (decision.kept.length > 0) this.#onKept(now + verdictLife)
      if (decision.commits.length > 0) this.#shared.moved.tell(decision.head)
      return value
    })
  }

  subscribe(listener: (head: number) => void): () => void {
    const remove = this.#shared.moved.add(listener)
    const undo = () => {
      remove()
      this.#undo.delete(undo)
    }
    this.#undo.add(undo)
    return undo
  }

  renewEpoch(): Promise<void> {
    return this.#queued(async () => {
      this.#stored((log) => log.identity.renewEpoch())
      this.#shared.moved.tell(this.#stored((log) => log.end().head))
    })
  }

  prune(): Promise<number | undefined> {
    return this.#queued(async () => {
      const oldest = this.#stored((log) => log.forget(this.#now() - verdictLife))
      return oldest === undefined ? undefined : oldest + verdictLife
    })
  }

  async close(): Promise<void> {
    this.#isClosed = true
    for (const undo of this.#undo) undo()
  }

  /** One after the other, in the order of the calls. */
  #queued<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#shared.turn.then(work)
    this.#shared.turn = turn.catch(() => {})
    return turn
  }

  #stored<T>(ask: (log: SqlLog) => T): T {
    if (this.#isClosed) throw new ClosedError(say`The log`)
    try {
      return ask(this.#shared.log)
    } catch (error) {
      if (error instanceof TidemarkError) throw error
      // The app may have deleted everything: then the next request begins another log.
      this.#shared.log.identity.reopen()
      // Whatever it was, the transaction was rolled back.
      throw new StorageFailedError(say`The Durable Object could not store or read its log: ${String(error)}.`, {
        cause: error,
        outcome: 'not-written',
      })
    }
  }
}
