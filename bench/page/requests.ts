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

function before(target: object, method: string, call: () => void): void {
  const methods = target as Record<string, ((...args: unknown[]) => unknown) | undefined>
  const original = methods[method]
  if (original === undefined) return
  methods[method] = function (this: unknown, ...args: unknown[]) {
    call()
    return original.apply(this, args)
  }
}
