/** A connection to one database, which heals itself as far as that is safe. */
import { deleteDB, openDB, unwrap, type IDBPDatabase, type IDBPTransaction } from 'idb'
import {
  ClosedError,
  StorageBusyError,
  StorageDamagedError,
  StorageLostError,
  TidemarkError,
  UnsupportedFormatError,
} from '../errors.js'
import { say } from '../messages.js'
import { systemClock, type Clock } from './clock.js'
import { withDeadline } from './deadline.js'
import { healing } from './healing.js'
import {
  assertAvailable,
  isAbortError,
  storageDeadline,
  storageError,
  reportedOutcome,
  transact,
  type TransactOptions,
} from './indexeddb.js'
import { OpeningTries, type OpenOptions } from './opening-tries.js'
import { pageLifecycle } from './page-lifecycle.js'

export interface ConnectionOptions {
  readonly name: string
  readonly version: number
  /** Of a local store: the version that its database would have if it were a synced one. */
  readonly syncedVersion?: number
  /** What the database is called in messages. */
  readonly label: string
  upgrade(database: IDBPDatabase, transaction: IDBPTransaction<unknown, string[], 'versionchange'>): void
  /** Called on every new handle before it is used; throws to refuse it. */
  verify(database: IDBDatabase): Promise<void>
  /** Called once when the database was deleted or replaced under this connection. */
  lost?(): void
  /** Called when the browser closed a handle: because its storage was cleared, perhaps. */
  terminated?(): void
  /**
   * For what can be made again from elsewhere: resolves if it may. A database that was deleted is then made again, and
   * one that `verify` finds damaged deleted first; and a page that goes away closes it, so that no other tab waits for
   * a frozen one. Without it nothing is ever made twice, nor deleted.
   */
  remake?(): Promise<unknown>
  /** @default the clock of this context */
  readonly clock?: Clock
}

/** Errors that a handle gives for ever once its connection is gone; the UnknownError is WebKit's. */
const isSignOfDeath = (error: unknown) =>
  error instanceof DOMException && ['InvalidStateError', 'UnknownError', 'AbortError'].includes(error.name)

/** One connection to one database. A closed handle is opened again on the next use, a deleted database never. */
export class Connection {
  readonly #options: ConnectionOptions
  /** The handle in use, or on its way. */
  #handle: Promise<IDBDatabase> | undefined
  /** The same, once it is there. */
  #database: IDBDatabase | undefined
  #existed = false
  #end: TidemarkError | undefined

  readonly #clock: Clock
  readonly #tries: OpeningTries
  readonly #lifecycle = pageLifecycle()
  readonly #stopFollowing: (() => void) | undefined
  /** Transactions that cannot end without this page. */
  readonly #open = new Set<IDBTransaction>()
  readonly #interrupted = new WeakSet<IDBTransaction>()

  constructor(options: ConnectionOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#tries = new OpeningTries(this.#clock)
    this.#stopFollowing = this.#lifecycle?.subscribe((presence) => {
      if (presence !== 'away') return
      this.#interrupt()
      if (options.remake !== undefined) this.reopen()
    })
  }

  /**
   * Runs a transaction, on a fresh handle if the old one turns out to be dead before anything was started; three tries
   * at most. One that needs several turns is rolled back when the page freezes, and run again when it is back.
   */
  async transact<T>(options: TransactOptions, work: (transaction: IDBTransaction) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      // Not a turn later where it is there.
      const known = this.#end === undefined ? this.#database : undefined
      const database = known ?? (await this.open(options))
      let running: IDBTransaction | undefined
      try {
        const answer = await transact(database, options, work, (transaction) => {
          running = transaction
          this.#open.add(transaction)
        })
        this.#tries.worked()
        if (options.mode === 'readwrite') healing.worked()
        return answer
      } catch (error) {
        if (running !== undefined && this.#interrupted.has(running) && attempt < 3) {
          await this.#whenHere()
          continue
        }
        const ran = error instanceof TidemarkError
        // Not every engine says `close` when the connection went away: the next caller must not get this handle (H22).
        const dead = isSignOfDeath(ran ? error.cause : error)
        const named = storageError(error, options.what, reportedOutcome(options, 'not-written'))
        if (dead) {
          this.#drop(database)
          this.#tries.failed(named)
        }
        // Its connection went away before anything was asked to be stored: a fresh handle can do it, or tells that all
        // is gone.
        const unstarted = ran && error.outcome !== 'unknown' && isAbortError(error.cause)
        if ((ran && !unstarted) || !dead || attempt >= 3) throw named
      } finally {
        if (running !== undefined) this.#open.delete(running)
      }
    }
  }

  open(how?: OpenOptions): Promise<IDBDatabase> {
    if (this.#end !== undefined) return Promise.reject(this.#end)
    if (how?.urgent === true && this.#database === undefined) this.#tries.tryNow()
    if (this.#handle === undefined) {
      // Not as a handle on its way: one that asks urgently in this moment would wait for it.
      const refusal = this.#tries.refusal()
      if (refusal !== undefined) return Promise.reject(refusal)
      const opening = this.#tries.run(async () => {
        if (this.#options.remake !== undefined) await this.#whenHere()
        return this.#connect()
      }, how)
      this.#handle = opening
      // A failed start can be started again (H27).
      opening.catch(() => {
        if (this.#handle === opening) this.#handle = undefined
      })
    }
    return this.#handle
  }

  /** Lets the handle go once its transactions are done: the next use opens another one, which is verified. */
  reopen(): void {
    if (this.#database !== undefined) this.#drop(this.#database)
  }

  close(): void {
    this.#stopFollowing?.()
    this.#end ??= new ClosedError(this.#options.label)
    const handle = this.#handle
    this.#handle = undefined
    this.#database = undefined
    handle?.then(
      (database) => database.close(),
      () => {},
    )
  }

  /** A frozen page would keep them open, and every other tab waiting. One whose commit was asked for ends by itself. */
  #interrupt(): void {
    for (const transaction of this.#open) {
      try {
        transaction.abort()
        this.#interrupted.add(transaction)
      } catch {
        // Committing already.
      }
    }
  }

  #whenHere(): Promise<void> {
    const lifecycle = this.#lifecycle
    if (lifecycle === undefined || lifecycle.presence() !== 'away') return Promise.resolve()
    return new Promise((resolve) => {
      const unsubscribe = lifecycle.subscribe((presence) => {
        if (presence === 'away') return
        unsubscribe()
        resolve()
      })
    })
  }

  /** It was closed, or its database deleted or replaced: nothing can be asked of it any more. */
  get isOver(): boolean {
    return this.#end !== undefined
  }

  #markLost(problem: string): TidemarkError {
    if (this.#end === undefined) {
      this.#end = new StorageLostError(
        say`${this.#options.label} ${problem}. What this page holds of it is void; open it again.`,
        { outcome: 'not-written' },
      )
      this.#options.lost?.()
    }
    return this.#end
  }

  /** The next try may make the database. */
  async #startOver(remake: () => Promise<unknown>): Promise<void> {
    await remake().catch((error: unknown) => {
      throw error instanceof StorageLostError ? this.#markLost(say`is gone`) : error
    })
    this.#existed = false
  }

  /** Closes a handle. If another one is in use by now, that one stays. */
  #drop(database: IDBDatabase): void {
    database.close()
    if (this.#database !== database) return
    this.#database = undefined
    this.#handle = undefined
  }

  /** Throws the error of an opening that failed. A database of a higher version must not be touched. */
  async #refused(error: unknown): Promise<never> {
    if ((error as { name?: string } | null)?.name !== 'VersionError') throw error
    const { name, label, syncedVersion } = this.#options
    // Firefox before 126 does not list them.
    const all = syncedVersion && typeof indexedDB.databases === 'function' ? await indexedDB.databases() : []
    throw all.some((each) => each.name === name && each.version === syncedVersion)
      ? new UnsupportedFormatError(
          say`${label} is a synced store: open it with openSyncedStore() of tidemark/sync. If this page is of an older version of the app, reload it.`,
          'synced',
        )
      : new UnsupportedFormatError(
          say`${label} was made by a newer version of this app. Reload the page to get that version.`,
        )
  }

  /** One try: opens the database and makes sure that it is the right one, or says within a deadline why not. */
  async #connect(): Promise<IDBDatabase> {
    if (this.#end !== undefined) throw this.#end
    const { name, version, label, remake } = this.#options
    const what = say`opening ${label.replace('The', 'the')}`
    const mustExist = this.#existed
    let tooLate = false
    let blocked = false
    const whenBlocked = () => void (blocked = true)
    let gone = false
    let database: IDBDatabase | undefined
    const opening = async () => {
      assertAvailable(what)
      database = unwrap(
        await openDB(name, version, {
          upgrade: (database, oldVersion, _newVersion, transaction) => {
            // The open request fails with it; this promise is one too many (H5).
            transaction.done.catch(() => {})
            // Creating it again would put a tail without a head into an empty log (H31).
            gone = mustExist && oldVersion === 0
            if (gone || tooLate) return transaction.abort()
            this.#options.upgrade(database, transaction as IDBPTransaction<unknown, string[], 'versionchange'>)
          },
          blocked: whenBlocked,
          blocking: (_current, next, event) => {
            this.#drop(event.target as IDBDatabase)
            if (next === null && remake === undefined) this.#markLost(say`was deleted`)
          },
          terminated: () => {
            healing.closed()
            if (database !== undefined) this.#drop(database)
            this.#options.terminated?.()
          },
        }).catch((error: unknown) => this.#refused(error)),
      ) as IDBDatabase
      // A success after the deadline is not kept: no code would close it (H24).
      if (!tooLate) {
        await this.#options.verify(database).catch(async (error: unknown) => {
          if (!(error instanceof StorageDamagedError) || remake === undefined) throw error
          database?.close()
          await this.#startOver(remake)
          await deleteDB(name, { blocked: whenBlocked })
          // The next try makes it again.
          throw error
        })
      }
      if (tooLate || this.#end !== undefined) database.close()
      if (this.#end !== undefined) throw this.#end
      return database
    }
    try {
      const opened = await withDeadline(this.#clock, storageDeadline, opening(), () => {
        tooLate = true
        database?.close()
        const why = blocked
          ? say`: another tab holds an older version of it open. Close that tab`
          : say`. Retry, or restart the browser`
        return new StorageBusyError(say`${label} did not open within ${storageDeadline} ms${why}.`, {
          outcome: 'not-written',
        })
      })
      this.#existed = true
      this.#database = opened
      // The page went away meanwhile: the caller finds a closed handle, and asks again.
      if (remake !== undefined && this.#lifecycle?.presence() === 'away') this.reopen()
      return opened
    } catch (error) {
      database?.close()
      if (gone) {
        if (remake === undefined) throw this.#markLost(say`is gone`)
        await this.#startOver(remake)
        throw new StorageDamagedError(
          say`${label} was deleted, again and again. Close the other tabs of this app, then reload.`,
        )
      }
      if (error instanceof StorageLostError) throw this.#markLost(say`was replaced by another one`)
      throw storageError(error, what, 'not-written')
    }
  }
}

/**
 * Deletes a database. Other connections close when they are asked; the deletion waits for those that do not.
 *
 * @throws StorageBusyError if that takes longer than the deadline; it is then done when the last one closes
 */
export async function deleteDatabase(name: string, label: string): Promise<void> {
  const what = say`deleting a database: ${label}`
  try {
    assertAvailable(what)
    await withDeadline(
      systemClock,
      storageDeadline,
      deleteDB(name),
      () =>
        new StorageBusyError(
          say`${label} was not deleted within ${storageDeadline} ms: another tab holds it open, and it is deleted once that tab is closed.`,
          { outcome: 'unknown' },
        ),
    )
  } catch (error) {
    throw storageError(error, what, 'unknown')
  }
}
