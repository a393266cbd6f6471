/** IndexedDB, tamed: transactions that settle once, and errors with names. */
import {
  StorageBusyError,
  StorageFailedError,
  StorageFullError,
  StorageUnavailableError,
  TidemarkError,
  type WriteOutcome,
} from '../errors.js'
import { say } from '../messages.js'
import { systemClock } from './clock.js'
import { startDeadline } from './deadline.js'
import { feature } from './features.js'
import { inChromium, isWorkerOfWebKit, mayCommitEarly, takesBackCommitted } from './engine-quirks.js'
import { danger, healing } from './healing.js'
import { optional } from './promises.js'

/** How long an open or a transaction may take before it is reported, in ms. */
export const storageDeadline = 30_000

/** How long after its connection was closed a transaction may still say how it ended, in ms. */
const lastWord = 250

/**
 * The named error for what IndexedDB threw. tidemark's own errors pass through. A write, which has an outcome, may have
 * left damage that is repaired then.
 */
export function storageError(error: unknown, what: string, outcome?: WriteOutcome): TidemarkError {
  if (error instanceof TidemarkError) return error
  const name = error instanceof Error || error instanceof DOMException ? error.name : ''
  const options = { cause: error, outcome }
  if (name === 'QuotaExceededError') {
    return new StorageFullError(
      say`No space left while ${what}. Free space on the device or in this site's storage, then retry.`,
      { cause: error, outcome: outcome && 'not-written' },
    )
  }
  if (name === 'TimeoutError')
    return new StorageBusyError(say`The browser gave up waiting while ${what}. Retry.`, options)
  if (name === 'SecurityError') return new StorageUnavailableError(what, { cause: error })
  const damaging = name === 'UnknownError' && outcome !== undefined && inChromium()
  const failed = new StorageFailedError(
    say`IndexedDB failed while ${what} (${name || String(error)}). Retry; reload the page if that persists.${damaging ? ` ${danger}` : ''}`,
    options,
  )
  if (damaging) healing.failed(failed)
  return failed
}

/** Whether this context has no IndexedDB at all, as a server. One that has it may still forbid it. */
export const isMissing = (): boolean => feature((here) => here.indexedDB) === undefined

/** @throws StorageUnavailableError if this context has no IndexedDB */
export function assertAvailable(what: string): void {
  let factory: IDBFactory | null | undefined
  try {
    factory = globalThis.indexedDB
  } catch (cause) {
    throw new StorageUnavailableError(what, { cause })
  }
  if (factory === undefined || factory === null) throw new StorageUnavailableError(what)
}

/** How a promise is settled. An object that holds this holds the promise, and so what it was settled with. */
interface Settling<T> {
  readonly resolve: (value: T) => void
  readonly reject: (error: unknown) => void
}

/** A promise, and what settles it. */
function deferred<T>(): { readonly answer: Promise<T>; readonly settling: Settling<T> } {
  let settling!: Settling<T>
  const answer = new Promise<T>((resolve, reject) => {
    settling = { resolve, reject }
  })
  return { answer, settling }
}

/**
 * A request as a promise. Its error is also seen by the transaction, which decides: so it need not be awaited.
 *
 * Requests and transactions are objects of the browser, and what they and their listeners hold outlives every quick
 * collection of garbage, also when they are done and forgotten: it is copied twice, and waits for a long one. So the
 * listeners keep no way to the promise.
 */
export function requested<T>(request: IDBRequest<T>, taken = (result: T): T => result): Promise<T> {
  const { answer, settling } = deferred<T>()
  let waiting: Settling<T> | undefined = settling
  request.onsuccess = () => {
    waiting?.resolve(taken(request.result))
    waiting = undefined
  }
  request.onerror = () => {
    waiting?.reject(request.error)
    waiting = undefined
  }
  return optional(answer)
}

/** The answer of a `getAll`, taken out of the request, which would keep it: see {@link requested}. */
export const requestedAll = <T>(request: IDBRequest<T[]>): Promise<T[]> => requested(request, (all) => all.splice(0))

/**
 * Ends a transaction with an explicit commit after its writes, in the order they were made: immediately in Chromium,
 * elsewhere when they have succeeded.
 *
 * Firefox only reacts to a failure of the last request after `commit()`, and if that was called in a callback of the
 * transaction, not even that. So there `commit()` in the same turn is for the only request of a transaction, made in
 * the turn that began it.
 */
export async function commitWritten(transaction: IDBTransaction, writes: readonly IDBRequest[]): Promise<void> {
  const last = writes.at(-1)
  // A failed request ends those after it, so that the last one speaks for all.
  if (last !== undefined && !takesBackCommitted()) await requested(last)
  transaction.commit()
}

/** The names of a store's indexes. Asks nothing of the storage, and so waits for no other transaction. */
export function indexNames(database: IDBDatabase, store: string): string[] {
  const transaction = database.transaction(store)
  const names = [...transaction.objectStore(store).indexNames]
  // Else it waits for a store that another transaction may hold (H8).
  transaction.abort()
  return names
}

export interface TransactOptions {
  readonly stores: readonly string[]
  readonly mode: 'readonly' | 'readwrite'
  readonly durability?: 'strict' | 'relaxed' | undefined
  /** For messages: "appending to 'flights'". */
  readonly what: string
  /**
   * Errors say what became of a write, also where the mode is 'readonly' because there is nothing to store.
   * @default that the mode is 'readwrite'
   */
  readonly isWrite?: boolean
  /**
   * `'one'`: `work` asks everything before it first waits. The transaction then ends by itself, without another word of
   * this page, and so cannot be left open by one that freezes, which would keep every other tab from writing.
   * @default 'one' for reading, 'several' for writing
   */
  readonly turns?: 'one' | 'several'
  /** The app itself asks: see `OpenOptions`. */
  readonly urgent?: boolean
}

/** Whether the engine only says that a transaction ended before its work did. */
export const isAbortError = (error: unknown): boolean => error instanceof DOMException && error.name === 'AbortError'

/**
 * The outcome that an error of this transaction tells: none of a read, and never 'unknown' where nothing could be
 * stored.
 */
export function reportedOutcome(options: TransactOptions, outcome: WriteOutcome): WriteOutcome | undefined {
  if (options.mode === 'readwrite') return outcome
  return options.isWrite === true ? 'not-written' : undefined
}

/** What `work` throws synchronously becomes a rejection. */
const begun = <T>(work: (transaction: IDBTransaction) => Promise<T>, transaction: IDBTransaction): Promise<T> =>
  new Promise((answer) => answer(work(transaction)))

/** The end of the transaction that began last, where they go one by one. */
let last: Promise<void> = Promise.resolve()

/**
 * Runs one transaction and settles with its real end: the value of `work` after `complete`, or an error after `abort`.
 * If `work` throws, everything is rolled back and its error is the result. `work` may await requests of this
 * transaction only, and `commit()` is the last thing that it does. In workers of WebKit one transaction is under way at
 * a time.
 */
export function transact<T>(
  database: IDBDatabase,
  options: TransactOptions,
  work: (transaction: IDBTransaction) => Promise<T>,
  opened?: (transaction: IDBTransaction) => void,
): Promise<T> {
  const run = () => settled(database, options, work, opened)
  if (!isWorkerOfWebKit()) return run()
  const answer = last.then(run)
  last = answer.then(
    () => {},
    () => {},
  )
  return answer
}

function settled<T>(
  database: IDBDatabase,
  options: TransactOptions,
  work: (transaction: IDBTransaction) => Promise<T>,
  opened: ((transaction: IDBTransaction) => void) | undefined,
): Promise<T> {
  const transaction = database.transaction([...options.stores], options.mode, {
    durability: options.durability ?? 'default',
  })
  const turns = options.turns ?? (options.mode === 'readonly' ? 'one' : 'several')
  if (turns === 'several') opened?.(transaction)
  const end = watchEnd<T>(database, transaction, options)
  const working = begun(work, transaction)
  // Without it the transaction ends by itself after its last request.
  if (turns === 'one' && mayCommitEarly()) {
    try {
      transaction.commit()
    } catch {
      // It has failed already, and `working` says how.
    }
  }
  // The storage works meanwhile.
  end.startDeadline()
  working.then(end.worked, end.failed)
  return end.answer
}

/**
 * How a transaction ends. Both the last word of the storage and that of the work are needed; they come in either order.
 */
interface TransactionEnd<T> {
  readonly answer: Promise<T>
  /** From here on the storage has its time. */
  startDeadline(): void
  /** The work is done. */
  worked(value: T): void
  /** The work failed, and takes the transaction back. */
  failed(error: unknown): void
}

function watchEnd<T>(database: IDBDatabase, transaction: IDBTransaction, options: TransactOptions): TransactionEnd<T> {
  let requestError: unknown
  let workError: { error: unknown } | undefined
  let result: { value: T } | undefined
  let completed = false
  const { answer, settling } = deferred<T>()
  // The listeners keep neither the answer nor the result any longer than it takes: see `requested`.
  let waiting: Settling<T> | undefined = settling
  const stopWaiting = () => {
    waiting = result = undefined
    silence.stop()
  }
  const finish = () => {
    if (!completed || result === undefined) return
    waiting?.resolve(result.value)
    stopWaiting()
  }
  const fail = (error: unknown, outcome: WriteOutcome) => {
    waiting?.reject(storageError(error, options.what, reportedOutcome(options, outcome)))
    stopWaiting()
  }
  const aborted = (quota?: DOMException | null) => {
    const known = workError?.error ?? requestError ?? quota
    // The work was done and nothing failed: the connection went away, and the commit may have been on its way (H17).
    const outcome = known === undefined && result !== undefined ? 'unknown' : 'not-written'
    fail(known ?? transaction.error ?? new DOMException(say`The transaction was aborted`, 'AbortError'), outcome)
  }
  const silence = watchSilence(database, transaction, options, aborted, fail)
  // A request's own error is the only one that all engines agree on; the transaction's may be null or an AbortError
  // (H4).
  transaction.onerror = (event) => {
    const error = (event.target as IDBRequest | null)?.error ?? undefined
    // This one only says that the transaction went first. If its connection did, the commit may be done (H17).
    if (!isAbortError(error)) requestError ??= error
  }
  transaction.onabort = () => {
    aborted(transaction.error?.name === 'QuotaExceededError' ? transaction.error : undefined)
  }
  transaction.oncomplete = () => {
    completed = true
    // A failed request is never acknowledged, though Firefox may complete: see `commitWritten`.
    const failed = workError ?? (requestError === undefined ? undefined : { error: requestError })
    if (failed !== undefined) fail(failed.error, 'unknown')
    else finish()
  }
  return {
    answer,
    startDeadline() {
      if (waiting !== undefined) silence.startDeadline()
    },
    worked(value) {
      result = { value }
      finish()
    },
    failed(error) {
      // A failed request rejects the work as well, and so does one that was pending at an abort; the abort carries the
      // better error.
      if (requestError === undefined && !isAbortError(error)) workError = { error }
      // Chromium completes a transaction of one turn before it finds that a value is lost, and its `abort()` then does
      // nothing (H16).
      if (completed) return fail(error, 'unknown')
      try {
        transaction.abort()
      } catch {
        // It is committing or aborting already, and will say so.
      }
    },
  }
}

/**
 * Ends a transaction of which the storage says nothing more: after a deadline, or because its connection was closed.
 */
function watchSilence(
  database: IDBDatabase,
  transaction: IDBTransaction,
  options: TransactOptions,
  aborted: () => void,
  fail: (error: unknown, outcome: WriteOutcome) => void,
): { startDeadline(): void; stop(): void } {
  let closing: ReturnType<typeof setTimeout> | undefined
  let endDeadline = () => {}
  const connectionClosed = () => {
    // Chromium says nothing more of a transaction that was committing when it cleared the origin (H31).
    closing = setTimeout(aborted, lastWord)
  }
  database.addEventListener('close', connectionClosed)
  const expired = () => {
    let outcome: WriteOutcome = 'unknown'
    try {
      transaction.abort()
      outcome = 'not-written'
    } catch {
      // Its commit was already asked for: only the storage knows.
    }
    const told = { outcome: reportedOutcome(options, outcome) }
    fail(
      new StorageBusyError(
        say`The storage did not respond within ${storageDeadline} ms while ${options.what}; another tab may be suspended inside a transaction. Retry.`,
        told,
      ),
      outcome,
    )
  }
  return {
    startDeadline() {
      endDeadline = startDeadline(systemClock, storageDeadline, expired)
    },
    stop() {
      endDeadline()
      clearTimeout(closing)
      database.removeEventListener('close', connectionClosed)
    },
  }
}
