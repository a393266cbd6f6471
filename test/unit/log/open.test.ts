// What opening refuses, by which name, and what it leaves alone.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { deleteEventStore, openEventStore } from 'tidemark'
import { databaseOf, editRows, settled, withDatabase } from '../../support/raw-database.js'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'
import { openConnections } from './inject-faults.js'

fakeIndexedDB()

let count = 0
let name = ''
beforeEach(() => {
  name = `open-${(count += 1)}`
})
afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllGlobals()
})

/** The stores of the log, one left out. */
function make(without: string, index?: string): Promise<void> {
  return withDatabase(
    databaseOf(name),
    async () => {},
    (database) => {
      for (const [store, keyPath, indexes] of [
        ['meta', 'key', []],
        ['commits', 'at', ['heads', 'commits', 'ids']],
        ['checkpoints', 'name', []],
        ['letters', ['name', 'position'], []],
      ] as const) {
        if (store === without && index === undefined) continue
        const made = database.createObjectStore(store, { keyPath: keyPath as string | string[] })
        for (const each of indexes) if (each !== index) made.createIndex(each, each, { multiEntry: true })
        if (store === 'meta') made.put({ key: 'log', format: 1, minReader: 1, minWriter: 1, incarnation: 'one' })
      }
    },
    1,
  )
}
const databases = async () => (await indexedDB.databases()).map((each) => each.name)

describe('H43', () => {
  test.each([
    ['meta'],
    ['commits'],
    ['checkpoints'],
    ['letters'],
    ['commits', 'heads'],
    ['commits', 'commits'],
    ['commits', 'ids'],
  ])('a database that lacks %s %s is refused by name and left as it is', async (store, index?: string) => {
    await make(store, index)
    const deleteDatabase = vi.spyOn(IDBFactory.prototype, 'deleteDatabase')
    const createStore = vi.spyOn(IDBDatabase.prototype, 'createObjectStore')
    await expect(openEventStore({ name })).rejects.toMatchObject({
      code: 'storage-damaged',
      outcome: 'not-written',
      message: expect.stringContaining(`'${index ?? store}'`),
    })
    expect([deleteDatabase.mock.calls, createStore.mock.calls, openConnections(databaseOf(name))]).toEqual([[], [], 0])
    await withDatabase(databaseOf(name), async (database) =>
      expect(database.objectStoreNames.contains(store)).toBe(index !== undefined),
    )
  })

  test('a whole one is not', async () => {
    await make('nothing')
    await using store = await openEventStore({ name })
    expect(await store.append({ stream: 'a', events: [{ type: 'A', data: 1 }] })).toMatchObject({ position: 1 })
  })

  test.each([{ minReader: 'x' }, { minWriter: null }, { incarnation: '' }, { incarnation: undefined }])(
    'a row of identity that says %j is no identity',
    async (change) => {
      await (await openEventStore({ name })).close()
      await editRows(
        name,
        async ({ meta }) => void meta.put({ ...((await settled(meta.get('log'))) as object), ...change }),
      )
      await expect(openEventStore({ name })).rejects.toMatchObject({ code: 'storage-damaged', outcome: 'not-written' })
    },
  )

  test('destroying is the way out', async () => {
    await make('commits')
    await deleteEventStore(name)
    await using store = await openEventStore({ name })
    expect(await store.head()).toBe(0)
  })
})

describe('H36: without IndexedDB, opening and destroying say so by name, and no channel is left open', () => {
  const refused = async () => {
    const close = vi.spyOn(BroadcastChannel.prototype, 'close')
    await expect(openEventStore({ name })).rejects.toMatchObject({
      code: 'storage-unavailable',
      outcome: 'not-written',
      message: expect.stringContaining('tidemark/memory'),
    })
    expect(close).toHaveBeenCalledOnce()
    await expect(deleteEventStore(name)).rejects.toMatchObject({ code: 'storage-unavailable' })
  }

  test.each([undefined, null])('%s', async (factory) => {
    vi.stubGlobal('indexedDB', factory)
    await refused()
  })

  test('not declared', async () => {
    vi.stubGlobal('indexedDB', undefined)
    Reflect.deleteProperty(globalThis, 'indexedDB')
    await refused()
  })

  test('an opaque origin', async () => {
    const forbidden = () => {
      throw new DOMException('The operation is insecure.', 'SecurityError')
    }
    vi.spyOn(indexedDB, 'open').mockImplementation(forbidden)
    vi.spyOn(indexedDB, 'deleteDatabase').mockImplementation(forbidden)
    await refused()
    expect(await databases()).not.toContain(databaseOf(name))
  })
})

test('H36, H68: where no channel can be made, a store works without hints', async () => {
  vi.stubGlobal(
    'BroadcastChannel',
    class {
      constructor() {
        throw new DOMException('denied', 'SecurityError')
      }
    },
  )
  await using store = await openEventStore({ name })
  const heard = new Promise<number>((resolve) => store.subscribe(resolve))
  await store.append({ stream: 'a', events: [{ type: 'A', data: 1 }] })
  expect(await heard).toBe(1)
})

test('H44: destroying a store that another connection does not let go of says so at the deadline, and happens when it does', async () => {
  await (await openEventStore({ name })).close()
  const rude = await settled(indexedDB.open(databaseOf(name)))
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  try {
    const destroying = expect(deleteEventStore(name)).rejects.toMatchObject({
      code: 'storage-busy',
      outcome: 'unknown',
    })
    await vi.advanceTimersByTimeAsync(30_000)
    await destroying
  } finally {
    vi.useRealTimers()
  }
  rude.close()
  await expect.poll(databases).not.toContain(databaseOf(name))
})
