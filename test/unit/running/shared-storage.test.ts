// Whoever runs a read model and whoever reads it in one context share a connection, and each may close its own share.
import { afterEach, expect, test, vi } from 'vitest'
import { defineProjection, openReadModel, runProjection, startProjection, table } from 'tidemark'
import { added, codeOf, events, indexedDbStore, model, type Row } from '../read-model/support.js'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'

fakeIndexedDB()

afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllGlobals()
})

/** Names of the databases that are opened from here on, and transactions that are begun on them. */
function watch() {
  const opened: string[] = []
  const begun: string[] = []
  const { open } = IDBFactory.prototype
  vi.spyOn(IDBFactory.prototype, 'open').mockImplementation(function (this: IDBFactory, ...given) {
    opened.push(given[0])
    return open.apply(this, given)
  })
  const { transaction } = IDBDatabase.prototype
  vi.spyOn(IDBDatabase.prototype, 'transaction').mockImplementation(function (this: IDBDatabase, ...given) {
    begun.push(`${given[1] ?? 'readonly'} ${[given[0]].flat().join()}`)
    return transaction.apply(this, given as Parameters<typeof transaction>)
  })
  return { opened, begun }
}

test('a runner and its readers open one connection, and the last of them closes it', async () => {
  const store = await indexedDbStore(2)
  const { opened } = watch()
  const closed = vi.spyOn(IDBDatabase.prototype, 'close')
  const projection = startProjection(store, model())
  const [view, other] = [await openReadModel(store, model()), await openReadModel(store, model())]
  await projection.caughtUp(2)
  expect(opened).toEqual([`tidemark:${store.name}:model@1`])

  await view.close()
  await view.close()
  expect(await codeOf(view.position())).toBe('closed')
  expect(await other.position()).toBe(2)
  await projection.stop()
  expect(await codeOf(projection.pause())).toBe('closed')
  expect(await other.rows.getAll()).toMatchObject([{ total: 2 }])
  expect(closed).not.toHaveBeenCalled()
  await other.close()
  await vi.waitFor(() => expect(closed).toHaveBeenCalledOnce())

  // Whoever comes after that opens another one.
  const again = await openReadModel(store, model())
  expect([opened.length, await again.rows.getAll()]).toMatchObject([2, [{ total: 2 }]])
  await again.close()
  await store.close()
})

test('the lock that says so is held until the last of them has closed', async () => {
  const store = await indexedDbStore(1)
  let held = 0
  const request = (_name: string, _options: LockOptions, work: (lock: unknown) => Promise<unknown>) => {
    held += 1
    return work({}).finally(() => (held -= 1))
  }
  vi.stubGlobal('navigator', { locks: { request } })
  const [view, other] = [await openReadModel(store, model()), await openReadModel(store, model())]
  expect(held).toBe(1)
  await view.close()
  expect(held).toBe(1)
  await other.close()
  await vi.waitFor(() => expect(held).toBe(0))
  await store.close()
})

test('tables that are declared otherwise share nothing, and are refused', async () => {
  const store = await indexedDbStore(1)
  await runProjection(store, model())
  const view = await openReadModel(store, model())
  const changed = defineProjection(events, {
    name: 'model',
    tables: { rows: table<Row & { id: string }>({ key: 'id' }) },
    on: { Added: () => {} },
  })
  expect(await codeOf(openReadModel(store, changed))).toBe('definition-changed')
  expect(await view.rows.getAll()).toMatchObject([{ total: 1 }])
  await view.close()
  await store.close()
})

test('beside a connection that is there, a view opens without a transaction, and its rows come with the state in one', async () => {
  const store = await indexedDbStore(0)
  const projection = startProjection(store, model())
  const { position } = await store.append({ stream: 's', events: [added()] })
  await projection.caughtUp(position)
  const { begun } = watch()
  const view = await openReadModel(store, model())
  expect(begun).toEqual([])
  expect(await view.rows.getAll()).toHaveLength(1)
  expect(begun).toEqual(['readonly rows,tidemark:state'])
  await view.close()
  await projection.stop()
  await store.close()
})
