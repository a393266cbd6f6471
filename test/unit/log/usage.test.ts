// H34: what the storage manager says, in contexts that have all of it, some of it, or none.
import { afterEach, expect, test, vi } from 'vitest'
import { openEventStore } from 'tidemark'
import { openEventStore as openMemory } from 'tidemark/memory'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'

fakeIndexedDB()

afterEach(() => vi.unstubAllGlobals())

async function asked(storage: object | undefined) {
  await using store = await openEventStore({ name: `usage-${Math.random()}` })
  vi.stubGlobal('navigator', storage === undefined ? {} : { storage })
  return [await store.usage(), await store.persist()]
}
const refused = async () => {
  throw new TypeError('opaque origin')
}

test('H34: a window tells the estimate, and persists when it is asked', async () => {
  const persist = vi.fn(async () => true)
  expect(
    await asked({ estimate: async () => ({ usage: 5, quota: 10 }), persisted: async () => false, persist }),
  ).toEqual([{ usage: 5, quota: 10, persisted: false }, 'persisted'])
  expect(persist).toHaveBeenCalledOnce()
})

test('H34: what is persisted already is not asked for again', async () => {
  const persist = vi.fn(refused)
  expect(await asked({ persisted: async () => true, persist })).toEqual([{ persisted: true }, 'persisted'])
  expect(persist).not.toHaveBeenCalled()
})

test('H34: a refusal is told', async () => {
  expect(await asked({ persisted: async () => false, persist: async () => false })).toEqual([
    { persisted: false },
    'refused',
  ])
})

test('H34: a worker cannot ask', async () => {
  expect(await asked({ estimate: async () => ({ usage: 5, quota: 10 }), persisted: async () => false })).toEqual([
    { usage: 5, quota: 10, persisted: false },
    'unsupported',
  ])
})

test('H34, H36: without a storage manager, and with one that rejects, nothing is claimed', async () => {
  expect(await asked(undefined)).toEqual([{}, 'unsupported'])
  expect(await asked({ estimate: refused, persisted: refused, persist: refused })).toEqual([{}, 'unsupported'])
  expect(
    await asked({
      estimate: () => {
        throw new Error('at once')
      },
    }),
  ).toEqual([{}, 'unsupported'])
})

test('H34: a store in memory has no place on the device', async () => {
  vi.stubGlobal('navigator', {
    storage: { estimate: async () => ({ usage: 5, quota: 10 }), persisted: async () => true },
  })
  await using store = await openMemory({ name: 'usage' })
  expect([await store.usage(), await store.persist()]).toEqual([{}, 'unsupported'])
})
