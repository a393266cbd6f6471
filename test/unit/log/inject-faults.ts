/** Faults at each call of IndexedDB that the log makes, on fake-indexeddb: what browsers do to such software (docs/hazards.md). */
import * as fake from 'fake-indexeddb'
import { fakeDatabases, type FakeDatabase } from '../../support/fake-indexeddb.js'

export type Fault =
  /** The request at this place fails, and its transaction aborts (H4). */
  | { readonly kind: 'request fails'; readonly at: number; readonly error: string }
  /** The call at this place throws before there is a request. */
  | { readonly kind: 'call throws'; readonly at: number; readonly error: string }
  /** Every request succeeds, and then the transaction is rolled back after all (H3); without an error as when a connection goes away. */
  | { readonly kind: 'abort instead of commit'; readonly at: number; readonly error: string | undefined }
  /** The transaction commits, but its page is told that it aborted (H17). */
  | { readonly kind: 'commit reported as abort'; readonly at: number }
  /** The same, and the connection died so early that the requests before the `commit()` seem to have failed as well. */
  | { readonly kind: 'commit unheard' }
  /** The transaction ends and nobody is told; the connection is closed, and that is told (H31). */
  | { readonly kind: 'silent end'; readonly at: number }
  /** The connection is closed before this request is answered, and nothing is said of its transaction. */
  | { readonly kind: 'silent request'; readonly at: number }
  /** `transaction()` throws so many times (H22, H23). */
  | { readonly kind: 'no transaction'; readonly times: number; readonly error: string }
  /** The same, for ever, on every handle that is open now: their connections are gone, and nobody was told. */
  | { readonly kind: 'handles dead'; readonly error: string }
  /** The browser closes every connection when this request is made, and tells them later (H22). */
  | { readonly kind: 'connection closed'; readonly at: number }
  /** Opening fails so many times (H21, H27). */
  | { readonly kind: 'open fails'; readonly times: number; readonly error: string }
  /** From this request on all reads answer with nothing instead of failing (H25). */
  | { readonly kind: 'reads empty'; readonly at: number }
  /** The value of the row with this `at` cannot be read any more; its keys can (H16). */
  | { readonly kind: 'value lost'; readonly at: number; readonly error: string }
  /** The database is cleared away, or another one put in its place, when this request is made (H31). */
  | { readonly kind: 'database gone'; readonly at: number; readonly replaced: boolean }

/** What is used of the insides of fake-indexeddb: every request goes through `_execRequestAsync`. */
interface FakeTransaction extends IDBTransaction {
  _state: string
  _rollbackLog: (() => void)[]
  _execRequestAsync(request: { operation: () => unknown; source?: unknown }): IDBRequest
  _abort(errorName: string): void
}
interface Database extends FakeDatabase {
  transactions: FakeTransaction[]
}

const databases = () => fakeDatabases<Database>(indexedDB)
const transactionMethods = fake.IDBTransaction.prototype as FakeTransaction
const original = {
  open: fake.IDBFactory.prototype.open,
  transaction: fake.IDBDatabase.prototype.transaction,
  execute: transactionMethods._execRequestAsync,
  commit: transactionMethods.commit,
  dispatch: transactionMethods.dispatchEvent,
}
const readMethods = ['get', 'getKey', 'getAll', 'getAllKeys', 'count', 'openCursor', 'openKeyCursor'] as const

const failure = (name: string) => new DOMException(`injected ${name}`, name)

/** Connections of a database that are still open: 0 after everything was closed (I8). */
export function openConnections(name: string): number {
  return (
    databases()
      .get(name)
      ?.connections.filter((connection) => !connection._closePending).length ?? 0
  )
}

export async function databaseExists(name: string): Promise<boolean> {
  return (await indexedDB.databases()).some((database) => database.name === name)
}

/** Ends every connection as the browser does, open transactions included. */
function closeByForce(name: string): void {
  const database = databases().get(name)
  if (database === undefined) return
  for (const transaction of [...database.transactions])
    if (transaction._state !== 'finished') transaction._abort('AbortError')
  for (const connection of [...database.connections]) fake.forceCloseDatabase(connection as never)
}

/** Takes a database away, with no word to those who use it, and puts another one in its place if there is one. */
export function takeAway(name: string, replacement?: string): void {
  closeByForce(name)
  databases().delete(name)
  const other = replacement === undefined ? undefined : databases().get(replacement)
  if (other === undefined) return
  databases().delete(other.name)
  other.name = name
  databases().set(name, other)
}

export interface Injection {
  /** Whether anything was disturbed so far. */
  readonly fired: boolean
  /** Whether the database was taken away. */
  readonly gone: boolean
  /** Ends the disturbance. */
  stop(): void
}

/**
 * Arms faults. Places are counted from 1, over all requests (or transactions that end) from here on.
 *
 * @param replacement the database to put in the place of one that goes away
 */
export function inject(faults: readonly Fault[], replacement?: string): Injection {
  const state = { fired: false, gone: false }
  const openAtFirst = new Set([...databases().values()].flatMap(({ connections }) => connections as IDBDatabase[]))
  const left = new Map(faults.map((fault) => [fault, 'times' in fault ? fault.times : 1]))
  /** Transactions whose commit nobody hears of, with their requests. */
  const unheard = new Map<IDBTransaction, IDBRequest[]>()
  let requests = 0
  let endings = 0
  let inRead = false

  /** The armed faults of some kinds that hit now. */
  function* due<K extends Fault['kind']>(kind: K, place?: number): Generator<Extract<Fault, { kind: K }>> {
    for (const [fault, times] of left) {
      if (fault.kind !== kind || times === 0) continue
      if (place !== undefined && 'at' in fault && fault.at !== place) continue
      left.set(fault, times - 1)
      state.fired = true
      yield fault as Extract<Fault, { kind: K }>
    }
  }

  IDBFactory.prototype.open = function (name, version) {
    for (const { error } of due('open fails')) return failedOpening(error)
    return original.open.call(this, name, version)
  }
  IDBDatabase.prototype.transaction = function (...args) {
    // fake-indexeddb calls this one itself.
    if ((args[1] as string | undefined) === 'versionchange') return original.transaction.apply(this, args)
    for (const { error } of due('no transaction')) throw failure(error)
    const dead = faults.find((fault) => fault.kind === 'handles dead')
    if (dead !== undefined && openAtFirst.has(this)) {
      state.fired = true
      throw failure(dead.error)
    }
    return original.transaction.apply(this, args)
  }
  const restoreReads = [IDBObjectStore.prototype, IDBIndex.prototype].flatMap((prototype) => {
    const methods = prototype as unknown as Record<string, (...args: unknown[]) => IDBRequest>
    return readMethods.map((name) => {
      const method = methods[name] as (...args: unknown[]) => IDBRequest
      methods[name] = function (this: unknown, ...args) {
        inRead = true
        try {
          return method.apply(this, args)
        } finally {
          inRead = false
        }
      }
      return () => void (methods[name] = method)
    })
  })
  transactionMethods._execRequestAsync = function (request) {
    // Without a source it is something that fake-indexeddb does for itself.
    if (request.source === undefined || request.source === null) return original.execute.call(this, request)
    requests += 1
    for (const { error } of due('call throws', requests)) throw failure(error)
    let { operation } = request
    for (const { error } of due('request fails', requests)) {
      operation = () => {
        throw failure(error)
      }
    }
    const emptied = faults.some((fault) => fault.kind === 'reads empty' && requests >= fault.at)
    if (emptied && inRead) {
      state.fired = true
      const answer = operation
      operation = () => nothingLike(answer())
    }
    for (const fault of faults) {
      if (fault.kind !== 'value lost' || !inRead) continue
      const answer = operation
      operation = () => {
        const answered = answer()
        if (!holdsRow(answered, fault.at)) return answered
        state.fired = true
        throw failure(fault.error)
      }
    }
    for (const _fault of due('silent request', requests)) {
      original.dispatch.call(this.db as unknown as IDBTransaction, new fake.IDBVersionChangeEvent('close'))
      return new IDBRequest()
    }
    const made = original.execute.call(this, { ...request, operation })
    const { name } = this.db
    for (const _fault of due('connection closed', requests)) queueMicrotask(() => closeByForce(name))
    for (const { replaced } of due('database gone', requests)) {
      state.gone = true
      queueMicrotask(() => takeAway(name, replaced ? replacement : undefined))
    }
    return made
  }
  transactionMethods.dispatchEvent = function (event) {
    if (event.type !== 'complete' || this.mode === 'versionchange') return original.dispatch.call(this, event)
    endings += 1
    for (const _fault of due('silent end', endings))
      return original.dispatch.call(this.db as unknown as IDBTransaction, new fake.IDBVersionChangeEvent('close'))
    const told = new fake.IDBVersionChangeEvent('abort')
    for (const { error } of due('abort instead of commit', endings)) {
      for (const undo of this._rollbackLog.reverse()) undo()
      Object.assign(this, { error: error === undefined ? null : failure(error) })
      return original.dispatch.call(this, told)
    }
    for (const _fault of due('commit reported as abort', endings)) return original.dispatch.call(this, told)
    const requests = unheard.get(this)
    if (requests === undefined) return original.dispatch.call(this, event)
    for (const request of requests) {
      const failed = Object.assign(new fake.IDBVersionChangeEvent('error'), {
        bubbles: true,
        eventPath: [this.db, this],
      })
      Object.assign(request, { result: undefined, error: failure('AbortError') })
      original.dispatch.call(request, failed)
    }
    return original.dispatch.call(this, told)
  }
  transactionMethods.commit = function () {
    original.commit.call(this)
    for (const _fault of due('commit unheard')) unheard.set(this, [])
  }
  IDBRequest.prototype.dispatchEvent = function (event) {
    const held = event.type === 'success' && this.transaction !== null ? unheard.get(this.transaction) : undefined
    if (held === undefined) return original.dispatch.call(this, event)
    held.push(this)
    return true
  }

  return {
    get fired() {
      return state.fired
    },
    get gone() {
      return state.gone
    },
    stop() {
      IDBFactory.prototype.open = original.open
      IDBDatabase.prototype.transaction = original.transaction
      transactionMethods._execRequestAsync = original.execute
      transactionMethods.commit = original.commit
      Reflect.deleteProperty(transactionMethods, 'dispatchEvent')
      Reflect.deleteProperty(IDBRequest.prototype, 'dispatchEvent')
      for (const restore of restoreReads) restore()
    },
  }
}

function failedOpening(error: string): IDBOpenDBRequest {
  const request = new IDBOpenDBRequest()
  setImmediate(() => {
    Object.assign(request, { readyState: 'done', error: failure(error) })
    request.dispatchEvent(new fake.IDBVersionChangeEvent('error'))
  })
  return request
}

/** Whether an answer holds the value of a row, alone, in a list or under a cursor. */
function holdsRow(answer: unknown, at: number): boolean {
  if (Array.isArray(answer)) return answer.some((each) => holdsRow(each, at))
  if (typeof answer !== 'object' || answer === null) return false
  return 'value' in answer && 'source' in answer ? holdsRow(answer.value, at) : (answer as { at?: unknown }).at === at
}

function nothingLike(answer: unknown): unknown {
  if (Array.isArray(answer)) return []
  return answer === null || (typeof answer === 'object' && 'source' in answer) ? null : undefined
}
