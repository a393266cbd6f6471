// Taking over while others go on: what was read a moment ago must not decide about rows.
import { afterEach, expect, test, vi } from 'vitest'
import { openReadModel, runProjection, startProjection } from 'tidemark'
import { added, fakePage, indexedDbStore, listener, model, newName, poison } from '../read-model/support.js'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'

fakeIndexedDB()

afterEach(() => void vi.restoreAllMocks())

test('a take-over keeps the rows that another context committed after it had read the head', async () => {
  const store = await indexedDbStore(2)
  const definition = model({ handler: ({ position }) => position === 2 && poison(), onFailure: () => 'park' })
  await runProjection(store, definition)
  const view = await openReadModel(store, definition)
  const seen: unknown[] = []
  let overtaken = false
  const slow = {
    ...store,
    async head() {
      const head = await store.head()
      if (!overtaken) {
        overtaken = true
        // Another context, beside the lock.
        await store.append({ stream: 's', events: [added('b')] })
        await runProjection(
          { ...store, coordinator: { ...store.coordinator, tryAcquire: async () => ({ release() {} }) } },
          definition,
        )
      }
      return head
    },
    async readPage(...given: Parameters<typeof store.readPage>) {
      seen.push({ position: await view.position(), rows: (await view.rows.getAll()).length })
      return store.readPage(...given)
    },
  }
  await runProjection(slow, definition)
  expect(overtaken).toBe(true)
  // What readers saw when it had begun.
  expect(seen[0]).toEqual({ position: 3, rows: 2 })
  await view.close()
  await store.close()
})

test('a page that froze while it took over keeps the read model when it is back, hours later', async () => {
  const name = newName()
  const other = await indexedDbStore(2, name)
  await runProjection(other, model())
  const page = fakePage()
  const store = await indexedDbStore(0, name)
  // At the moment when it has asked for the state, within its write transaction.
  const original = IDBObjectStore.prototype.get
  const get = vi.spyOn(IDBObjectStore.prototype, 'get')
  const frozen = new Promise<void>((resolve) => {
    get.mockImplementation(function (this: IDBObjectStore, key) {
      if (this.name === 'tidemark:state' && this.transaction.mode === 'readwrite') {
        get.mockRestore()
        queueMicrotask(() => {
          page.freeze()
          resolve()
        })
      }
      return original.call(this, key)
    })
  })
  const { next, onReport } = listener()
  const projection = startProjection(store, model(), { onReport })
  await frozen
  await page.elsewhere(async () => {
    await other.append({ stream: 's', events: [added('b'), added('c')] })
    expect(await runProjection(other, model(), { leadership: 'wait' })).toMatchObject({ position: 4 })
  })
  const clear = vi.spyOn(IDBObjectStore.prototype, 'clear')
  const [loaded, idle] = [next(({ type }) => type === 'loaded'), next(({ type }) => type === 'idle')]
  page.resume()
  expect(await loaded).toMatchObject({ position: 4 })
  await idle
  expect(clear).not.toHaveBeenCalled()
  await projection.stop()
  await store.close()
  await other.close()
})
