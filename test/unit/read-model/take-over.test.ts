// Taking over while others go on: what was read a moment ago must not decide about rows.
import 'fake-indexeddb/auto'
import { afterEach, expect, test } from 'vitest'
import { openEventStore, openReadModel, runProjection, startProjection } from 'tidemark'
import { added, events, model, newName, wait, type Event } from './small-model.js'

test('a take-over whose head was read before the leader went on wipes rows and letters that readers see', async () => {
  const name = newName()
  const store = await openEventStore<Event>({ name, events })
  await store.append({ stream: 's', events: [added(), added()] })
  const definition = model({ handler: (e) => { if (e.position === 2 ) throw new Error('park me') }, onError: () => 'park' })
  await runProjection(definition, store)
  // Context B reads the head (2); before its begin, another context appends and commits position 3.
  let heads = 0
  const slow = { ...store, head: async () => {
    const head = await store.head()
    heads += 1
    if (heads === 1) { await store.append({ stream: 's', events: [added('b')] }); await runProjection(definition, { ...store, tryAcquire: async () => ({ release() {} }) }) }
    return head
  } }
  const view = await openReadModel(store, definition)
  const stopping = new AbortController()
  const seen: unknown[] = []
  const b = runProjection(definition, { ...slow, readEvents: async (...given: Parameters<typeof store.readEvents>) => {
    seen.push({ position: await view.position(), rows: (await view.rows.getAll()).length })
    return store.readEvents(...given)
  } } as never, { signal: stopping.signal })
  await b
  expect(seen[0]).toEqual({ position: 3, rows: 2 })
  await view.close(); await store.close()
})

// The realistic way: the page freezes in the middle of taking over, and is thawed hours later.
afterEach(() => { delete (globalThis as { document?: unknown }).document; delete (globalThis as { addEventListener?: unknown }).addEventListener; delete (globalThis as { removeEventListener?: unknown }).removeEventListener })
test('a page that freezes while it takes over wipes the read model when it is back', async () => {
  const name = newName()
  const other = await openEventStore<Event>({ name, events })
  await other.append({ stream: 's', events: [added(), added()] })
  await runProjection(model(), other)
  // A page from here on.
  const page = new EventTarget()
  const document = Object.assign(new EventTarget(), { visibilityState: 'visible' })
  Object.assign(globalThis, { document, addEventListener: page.addEventListener.bind(page), removeEventListener: page.removeEventListener.bind(page) })
  const store = await openEventStore<Event>({ name, events })
  // Freeze at the moment of begin's read of the state within its write transaction.
  const get = IDBObjectStore.prototype.get
  let frozen = false
  IDBObjectStore.prototype.get = function (this: IDBObjectStore, key: IDBValidKey) {
    if (!frozen && this.name === 'tidemark:state' && this.transaction.mode === 'readwrite') {
      frozen = true
      queueMicrotask(() => document.dispatchEvent(new Event_('freeze')))
    }
    return get.call(this, key)
  }
  const projection = startProjection(model(), store)
  await expect.poll(() => frozen, { timeout: 5000 }).toBe(true)
  IDBObjectStore.prototype.get = get
  await wait(50)
  // Hours pass; others go on.
  delete (globalThis as { document?: unknown }).document
  await other.append({ stream: 's', events: [added('b'), added('c')] })
  await runProjection(model(), other, { leadership: 'wait' })
  const view = await openReadModel(other, model())
  expect(await view.position()).toBe(4)
  const clears: string[] = []
  const clear = IDBObjectStore.prototype.clear
  IDBObjectStore.prototype.clear = function (this: IDBObjectStore) { clears.push(this.name); return clear.call(this) }
  Object.assign(globalThis, { document })
  document.dispatchEvent(new Event_('resume'))
  await expect.poll(() => projection.status.getSnapshot().position, { timeout: 5000 }).toBe(4)
  await wait(200)
  IDBObjectStore.prototype.clear = clear
  await projection.stop(); await view.close(); await store.close(); await other.close()
  expect(clears).toEqual([])
})
const Event_ = globalThis.Event
