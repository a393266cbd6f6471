/** Counts what is asked of IndexedDB. Unlike a time, that is the same on every machine and in every run. */

export interface RequestCount {
  readonly transactions: number
  readonly requests: number
}

const asking = [
  'add',
  'put',
  'get',
  'getAll',
  'getKey',
  'getAllKeys',
  'getAllRecords',
  'delete',
  'clear',
  'count',
  'openCursor',
  'openKeyCursor',
] as const
const moving = ['continue', 'continuePrimaryKey', 'advance', 'update', 'delete'] as const

let counting = 0
let transactions = 0
let requests = 0

/** Counts what `work` asks for under the clock. Slows IndexedDB down for good: call it after everything that is timed. */
export async function counted(work: () => Promise<unknown>): Promise<RequestCount> {
  install()
  transactions = requests = 0
  await work()
  return { transactions, requests }
}

/** What was asked of IndexedDB since then. */
export interface IndexedDbCounts {
  /** Without looks. */
  readonly transactions: number
  /** Requests of transactions that only read, without looks. */
  readonly reads: number
  /** Transactions that only look whether there is something to do. */
  readonly looks: number
  stop(): void
}

/** Tells looks from other transactions that only read. */
export type IsLook = (database: string, stores: readonly string[]) => boolean

/** Counts what is asked from here on, of every library alike, until it is stopped: then nothing of it is left. */
export function countIndexedDb(isLook: IsLook = () => false): IndexedDbCounts {
  const counts = { transactions: 0, reads: 0, looks: 0 }
  const undo = [
    before(IDBDatabase.prototype, 'transaction', (asked, [stores, mode = 'readonly']) => {
      const names = typeof stores === 'string' ? [stores] : [...(stores as Iterable<string>)]
      if (mode === 'readonly' && isLook((asked as IDBDatabase).name, names)) counts.looks += 1
      else counts.transactions += 1
    }),
  ]
  for (const method of asking)
    for (const source of [IDBObjectStore.prototype, IDBIndex.prototype])
      undo.push(
        before(source, method, (asked) => {
          const store = asked instanceof IDBIndex ? asked.objectStore : (asked as IDBObjectStore)
          const { mode, db, objectStoreNames } = store.transaction
          if (mode === 'readonly' && !isLook(db.name, [...objectStoreNames])) counts.reads += 1
        }),
      )
  return Object.assign(counts, { stop: () => undo.forEach((each) => each()) })
}

function install(): void {
  if (globalThis.counting !== undefined) return
  globalThis.counting = (on) => void (counting += on ? 1 : -1)
  const add = () => {
    if (counting > 0) requests += 1
  }
  before(IDBDatabase.prototype, 'transaction', () => {
    if (counting > 0) transactions += 1
  })
  for (const method of asking)
    for (const source of [IDBObjectStore.prototype, IDBIndex.prototype]) before(source, method, add)
  for (const method of moving) before(IDBCursor.prototype, method, add)
}

/** Returns what takes that back. */
function before(target: object, method: string, call: (asked: unknown, args: readonly unknown[]) => void): () => void {
  const methods = target as Record<string, ((...args: unknown[]) => unknown) | undefined>
  const original = methods[method]
  if (original === undefined) return () => {}
  methods[method] = function (this: unknown, ...args: unknown[]) {
    call(this, args)
    return original.apply(this, args)
  }
  return () => void (methods[method] = original)
}
