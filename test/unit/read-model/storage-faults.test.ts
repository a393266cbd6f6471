// Rows that cannot be read or stored, and ranges and keys that engines refuse.
import 'fake-indexeddb/auto'
import { expect, test } from 'vitest'
import { defineProjection, openEventStore, openReadModel, runProjection, startProjection, table } from 'tidemark'
import { openEventStore as openMemory } from 'tidemark/memory'
import { added, events, model, newName, settledWithin, wait, type Event } from './small-model.js'

const storeWith = async (count: number, name = newName()) => {
  const store = await openEventStore<Event>({ name, events })
  if (count > 0) await store.append({ stream: 's', events: Array.from({ length: count }, () => added()) })
  return store
}
const rowsOf = async (store: Awaited<ReturnType<typeof storeWith>>, definition = model()) => {
  const view = await openReadModel(store, definition)
  try { return await view.rows.getAll() } finally { await view.close() }
}
/** Every request of one matching transaction answers with nothing, as WebKit does while a page goes away (H25). */
function emptyOnce(which: (store: IDBObjectStore) => boolean) {
  const empty = { get: undefined, getAll: [], count: 0 } as const
  const originals = Object.keys(empty).map((name) => [name, (IDBObjectStore.prototype as never as Record<string, unknown>)[name]] as const)
  let chosen: IDBTransaction | undefined
  for (const [name, original] of originals) {
    ;(IDBObjectStore.prototype as never as Record<string, unknown>)[name] = function (this: IDBObjectStore, ...given: unknown[]) {
      const request = (original as (...g: unknown[]) => IDBRequest).apply(this, given)
      if (chosen === undefined && which(this)) chosen = this.transaction
      if (chosen === this.transaction) Object.defineProperty(request, 'result', { get: () => empty[name as keyof typeof empty], set() {} })
      return request
    }
  }
  return { fired: () => chosen !== undefined, stop: () => { for (const [name, original] of originals) (IDBObjectStore.prototype as never as Record<string, unknown>)[name] = original } }
}

test('H25: a row that is read as nothing while the page goes away is not taken for a missing row', async () => {
  const store = await storeWith(2)
  await runProjection(model(), store)
  await store.append({ stream: 's', events: [added()] })
  const injection = emptyOnce((s) => s.name === 'rows' && s.transaction.mode === 'readonly')
  await runProjection(model(), store, { poll: { failureBackoff: 0 } }).catch(() => {})
  injection.stop()
  expect(injection.fired()).toBe(true)
  await runProjection(model(), store)
  expect(await rowsOf(store)).toEqual([{ name: 'a', total: 3, seen: [1, 2, 3] }])
  await store.close()
})

test('H25: a state that is read as nothing at opening does not end the read model for good', async () => {
  const store = await storeWith(2)
  await runProjection(model(), store)
  const injection = emptyOnce((s) => s.name === 'tidemark:state' && s.transaction.mode === 'readonly')
  const projection = startProjection(model(), store, { poll: { failureBackoff: 10 } })
  await expect.poll(injection.fired, { timeout: 3000 }).toBe(true)
  injection.stop()
  await store.append({ stream: 's', events: [added()] })
  await wait(2000)
  const { phase, position, lastError } = projection.status.getSnapshot()
  await projection.stop()
  await store.close()
  expect([phase, position, (lastError as { code?: string } | undefined)?.code]).toEqual(['live', 3, undefined])
})

test('a row that cannot be cloned fails its event, not the storage (a reactive proxy)', async () => {
  const store = await storeWith(3)
  const asked: number[] = []
  const definition = defineProjection(events, {
    name: 'proxies', tables: { rows: table<{ name: string }>({ key: 'name' }) },
    on: { Added: (e, { rows }) => rows.put(e.position === 2 ? new Proxy({ name: 'x' }, {}) : { name: String(e.position) }) },
    onError: ({ position }) => { asked.push(position); return 'park' },
  })
  const outcome = await runProjection(definition, store, { poll: { failureBackoff: 0 } }).then((r) => r.parked, (e: { message: string }) => e.message)
  await store.close()
  expect([outcome, asked]).toEqual([1, [2]])
})

test('a key with a dot is refused when it is declared, or works as in memory', async () => {
  const define = () => defineProjection(events, {
    name: 'dots', tables: { rows: table<{ 'a.b': string }>({ key: 'a.b' }) },
    on: { Added: (e, { rows }) => rows.put({ 'a.b': String(e.position) }) },
  })
  const outcomes = []
  for (const store of [await openMemory<Event>({ name: newName(), events }), await storeWith(0)]) {
    await store.append({ stream: 's', events: [added()] })
    outcomes.push(await Promise.resolve().then(() => runProjection(define(), store, { poll: { failureBackoff: 0 } })).then((r) => r.reason, (e: { code: string }) => e.code))
    await store.close()
  }
  expect(outcomes[0]).toBe(outcomes[1])
})

test('a key or index that is no key path of IndexedDB is refused when it is declared', async () => {
  const store = await storeWith(1)
  const refusal = await Promise.resolve().then(() => runProjection(defineProjection(events, {
    name: 'odd', tables: { rows: { key: 'my key', indexes: { byX: 'a-b' } } },
    on: { Added: (e, { rows }) => rows.put({ 'my key': String(e.position) }) },
  }), store, { poll: { failureBackoff: 0 } })).then(() => 'ran', (e: { code: string; cause?: { code?: string } }) => e.code)
  await store.close()
  expect(refusal).toBe('invalid-argument')
})

test('ranges are judged alike by both backends', async () => {
  const outcomes = []
  for (const store of [await openMemory<Event>({ name: newName(), events }), await storeWith(0)]) {
    await store.append({ stream: 's', events: [added()] })
    await runProjection(model(), store)
    const view = await openReadModel(store, model())
    outcomes.push(await view.rows.getAll({ range: { lower: 'z', upper: 'a' } }).then((rows) => rows.length, (e: { code: string }) => e.code))
    await view.close(); await store.close()
  }
  expect(outcomes[0]).toBe(outcomes[1])
})

test('a table too large to be read at once does not stop a projection (H14)', async () => {
  const store = await storeWith(0)
  const keys = Array.from({ length: 40 }, (_, i) => `k${i}`)
  await store.append({ stream: 's', events: keys.map((k) => added(k)) })
  await runProjection(model(), store)
  await store.append({ stream: 's', events: keys.map((k) => added(k)) })
  const getAll = IDBObjectStore.prototype.getAll
  IDBObjectStore.prototype.getAll = function (this: IDBObjectStore, ...given: never[]) {
    if (this.name === 'rows' && given.length === 0) throw new DOMException('Maximum IPC message size exceeded.', 'UnknownError')
    return getAll.apply(this, given as unknown as [])
  }
  const outcome = await runProjection(model(), store, { poll: { failureBackoff: 0, maxConsecutiveFailures: 50 } }).then((r) => r.applied, (e: Error) => e.message)
  IDBObjectStore.prototype.getAll = getAll
  await store.close()
  expect(outcome).toBe(40)
})

test('I8: a query with a bad range leaves no timer behind', async () => {
  const store = await storeWith(1)
  await runProjection(model(), store)
  const view = await openReadModel(store, model())
  const timers = new Set<unknown>()
  const [set, clear] = [globalThis.setTimeout, globalThis.clearTimeout]
  globalThis.setTimeout = ((f: () => void, ms?: number) => { const t = set(() => { timers.delete(t); f() }, ms); if ((ms ?? 0) > 10_000) timers.add(t); return t }) as never
  globalThis.clearTimeout = ((t: never) => { timers.delete(t); clear(t) }) as never
  await view.rows.getAll({ range: { lower: 'z', upper: 'a' } }).catch(() => {})
  await view.close(); await store.close()
  ;[globalThis.setTimeout, globalThis.clearTimeout] = [set, clear]
  const left = timers.size
  for (const t of timers) clear(t as never)
  expect(left).toBe(0)
})

test('openReadModel and stop() do not wait for ever while another tab removes that version', async () => {
  const store = await storeWith(1)
  // A tab that cleans up holds the lock exclusively while its deletion is blocked by a frozen page.
  const locks = { request: (_name: string, options: { ifAvailable?: boolean }, work?: (lock: unknown) => unknown) => {
    if (options.ifAvailable === true) return Promise.resolve(work?.(null))
    return new Promise(() => {})
  } }
  Object.defineProperty(globalThis, 'navigator', { value: { locks }, configurable: true })
  const projection = startProjection(model(), store)
  await wait(100)
  const stopped = await settledWithin(projection.stop(), 3000)
  const waited = await settledWithin(projection.caughtUp(1, { timeout: 100 }), 3000)
  delete (globalThis as { navigator?: unknown }).navigator
  expect([stopped, waited]).toEqual(['settled', 'settled'])
})
