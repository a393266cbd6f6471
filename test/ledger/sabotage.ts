/**
 * Harm done on purpose, to see that the ledger reports it. Nothing in the package has a switch for any of this: it is done
 * from outside, in the realm or in the databases, and is sent as source like the rest of the workload.
 */
import type { databases } from './stage.js'

type State = Record<string, any>
type Databases = typeof databases

/**
 * Early acknowledgement: every fourth `append` of the realm answers as soon as its transaction has begun, and the
 * transaction is aborted instead of committed.
 */
export function acknowledgeEarly(_tidemark: unknown, _arg: undefined, state: State): void {
  const { store } = state
  const append = store.append
  let appends = 0
  store.append = async (writes: { events: unknown[] }[]) => {
    appends += 1
    if (appends % 4 !== 0) return append(writes)
    const head = await store.head()
    const { transaction } = IDBDatabase.prototype
    const begun = new Promise<void>((resolve) => {
      IDBDatabase.prototype.transaction = function (names, mode, options) {
        const made = transaction.call(this, names, mode, options)
        if (mode !== 'readwrite' || ![names].flat().includes('commits')) return made
        made.commit = () => made.abort()
        resolve()
        return made
      }
    })
    append(writes)
      .catch(() => {})
      .finally(() => (IDBDatabase.prototype.transaction = transaction))
    await begun
    return {
      firstPosition: head + 1,
      position: head + writes.reduce((sum, { events }) => sum + events.length, 0),
      versions: {},
      duplicate: false,
    }
  }
}

/**
 * Fencing switched off: whoever commits to a read model in this realm is shown the state as this realm wrote it last, so
 * that the compare of checkpoint and epoch always agrees.
 */
export function blindTheFence(): void {
  const { get, put } = IDBObjectStore.prototype
  let written: unknown
  IDBObjectStore.prototype.put = function (value, key) {
    if (this.name === 'tidemark:state') written = value
    return key === undefined ? put.call(this, value) : put.call(this, value, key)
  }
  IDBObjectStore.prototype.get = function (key) {
    const request = get.call(this, key)
    const shown = written
    if (this.name === 'tidemark:state' && this.transaction.mode === 'readwrite' && shown !== undefined)
      Object.defineProperty(request, 'result', { get: () => shown })
    return request
  }
}

/** The realm asks for locks under other names than everybody else, so that it leads beside another leader. */
export function leadBesideOthers(): void {
  const { request } = LockManager.prototype
  const others = `${String(Math.random())}:`
  LockManager.prototype.request = function (this: LockManager, name: string, ...rest: any[]) {
    return (request as any).call(this, others + name, ...rest)
  } as typeof request
}

/**
 * Events are lost: the second quarter of the records is deleted. One alone may be of the worker that was killed, which
 * acknowledged nothing that was under way.
 */
export async function loseRecords(_tidemark: unknown, { log }: Databases): Promise<void> {
  const database = await new Promise<IDBDatabase>((resolve) => {
    const request = indexedDB.open(log)
    request.onsuccess = () => resolve(request.result)
  })
  const transaction = database.transaction('commits', 'readwrite')
  const commits = transaction.objectStore('commits')
  const keys = commits.getAllKeys()
  keys.onsuccess = () => {
    const [from, to] = [4, 2].map((part) => keys.result[Math.floor(keys.result.length / part)] as IDBValidKey)
    commits.delete(IDBKeyRange.bound(from, to))
  }
  await new Promise((resolve) => (transaction.oncomplete = resolve))
  database.close()
}

/** An effect is doubled: the row of one event says that it was applied twice. */
export async function doubleEffect(_tidemark: unknown, { model }: Databases): Promise<void> {
  const database = await new Promise<IDBDatabase>((resolve) => {
    const request = indexedDB.open(model)
    request.onsuccess = () => resolve(request.result)
  })
  const names = ['tidemark:state', 'effects', 'tidemark:other:effects']
  const transaction = database.transaction(names, 'readwrite')
  const state = transaction.objectStore('tidemark:state').get('state')
  state.onsuccess = () => {
    const effects = transaction.objectStore(state.result.shown === 0 ? 'effects' : 'tidemark:other:effects')
    const first = effects.openCursor()
    first.onsuccess = () => {
      const [row, ...rows] = (first.result as IDBCursorWithValue).value as { times: number }[]
      first.result?.update([{ ...row, times: 2 }, ...rows])
    }
  }
  await new Promise((resolve) => (transaction.oncomplete = resolve))
  database.close()
}
