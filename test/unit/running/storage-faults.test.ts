// Rows that cannot be read or stored, and ranges and keys that engines refuse.
import { afterEach, describe, expect, test, vi } from 'vitest'
import { defineProjection, openReadModel, runProjection, startProjection, table, type TidemarkStore } from 'tidemark'
import { virtualClock } from '../../../src/testing/virtual-clock.js'
import {
  added,
  codeOf,
  events,
  gate,
  indexedDbStore,
  memoryStore,
  model,
  shown,
  type Event,
} from '../read-model/support.js'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'

fakeIndexedDB()

afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
  vi.restoreAllMocks()
})

/** No pause after a failure. */
const quick = { poll: { failureBackoff: 0 } }

async function rowsOf(store: TidemarkStore<Event>) {
  const view = await openReadModel(store, model())
  try {
    return await view.rows.getAll()
  } finally {
    await view.close()
  }
}

/** Every read of the first transaction that matches answers with nothing, as in WebKit while a page goes away (H25). */
function emptyOnce(matches: (store: IDBObjectStore) => boolean) {
  const nothing = { get: undefined, getAll: [], getAllKeys: [], openCursor: null, count: 0 }
  type Read = (this: IDBObjectStore, ...given: unknown[]) => IDBRequest
  const methods = IDBObjectStore.prototype as unknown as Record<keyof typeof nothing, Read>
  const { passed: fired, open: fire } = gate()
  let emptied: IDBTransaction | undefined
  for (const [name, answer] of Object.entries(nothing) as [keyof typeof nothing, unknown][]) {
    const original = methods[name]
    vi.spyOn(methods, name).mockImplementation(function (this: IDBObjectStore, ...given) {
      const request = original.apply(this, given)
      if (emptied === undefined && matches(this)) {
        emptied = this.transaction
        fire()
      }
      if (emptied === this.transaction) Object.defineProperty(request, 'result', { get: () => answer, set() {} })
      return request
    })
  }
  return { fired, stop: () => void vi.restoreAllMocks() }
}

test.for([1, 2])(
  'H25: a row that is read as nothing while the page goes away, at question %i, is not taken for a missing row',
  async (question) => {
    const store = await indexedDbStore(2)
    await runProjection(store, model())
    await store.append({ stream: 's', events: [added()] })
    const asked = new Set<IDBTransaction>()
    const injection = emptyOnce(
      ({ name, transaction }) =>
        name === 'rows' && transaction.mode === 'readonly' && asked.add(transaction).size === question,
    )
    await runProjection(store, model(), quick)
    await injection.fired
    injection.stop()
    expect(await rowsOf(store)).toEqual([{ name: 'a', total: 3, seen: [1, 2, 3] }])
    await store.close()
  },
)

test.for([1, 2])(
  'H25: rows that are read as nothing inside a commit, at question %i, are not written over',
  async (question) => {
    const blind = defineProjection(events, {
      name: 'blind',
      tables: { rows: table<{ name: string }>({ key: 'name' }) },
      on: { Added: ({ position }, { rows }) => rows.put({ name: `row ${position}` }) },
    })
    const store = await indexedDbStore(2)
    await runProjection(store, blind)
    await store.append({ stream: 's', events: [added()] })
    let asked = 0
    const injection = emptyOnce(
      ({ name, transaction }) => name === 'rows' && transaction.mode === 'readwrite' && ++asked === question,
    )
    await runProjection(store, blind, quick)
    await injection.fired
    injection.stop()
    const view = await openReadModel(store, blind)
    expect(await view.rows.getAll()).toEqual([1, 2, 3].map((position) => ({ name: `row ${position}` })))
    await view.close()
    await store.close()
  },
)

test('H25: a projection whose state is read as nothing at opening goes on when it shows again', async () => {
  const store = await indexedDbStore(2)
  await runProjection(store, model())
  const injection = emptyOnce(({ name, transaction }) => name === 'tidemark:state' && transaction.mode === 'readonly')
  const projection = startProjection(store, model(), quick)
  await injection.fired
  injection.stop()
  await store.append({ stream: 's', events: [added()] })
  const status = await shown(projection.status, ({ phase, position }) => phase === 'live' && position === 3)
  expect(status.lastError).toBeUndefined()
  await projection.stop()
  await store.close()
})

test('a row that cannot be cloned fails its event, not the storage', async () => {
  const store = await indexedDbStore(3)
  const asked: number[] = []
  const definition = defineProjection(events, {
    name: 'proxies',
    tables: { rows: table<{ name: string; part?: unknown }>({ key: 'name' }) },
    on: {
      Added: ({ position }, { rows }) =>
        rows.put(position === 2 ? { name: 'x', part: new WeakMap() } : { name: String(position) }),
    },
    onFailure: ({ position }) => {
      asked.push(position)
      return 'park'
    },
  })
  expect(await runProjection(store, definition, quick)).toMatchObject({ applied: 2, parked: 1 })
  expect(asked).toEqual([2])
  await store.close()
})

test.for([
  ['a key with a dot', { key: 'a.b' }],
  ['a key with a space', { key: 'my key' }],
  ['an index over what is no identifier', { key: 'name', indexes: { byX: 'a-b' } }],
] as const)('%s is refused when it is declared', ([, rows]) => {
  expect(() => defineProjection(events, { name: 'odd', tables: { rows }, on: { Added: () => {} } })).toThrow(
    expect.objectContaining({ code: 'invalid-argument' }),
  )
})

test.for([
  ['in memory', memoryStore],
  ['on IndexedDB', indexedDbStore],
] as const)('%s, a range whose ends are the wrong way round holds nothing', async ([, open]) => {
  const store = await open(1)
  await runProjection(store, model())
  const view = await openReadModel(store, model())
  expect(await view.rows.getAll({ range: { lower: 'z', upper: 'a' } })).toEqual([])
  expect(await view.rows.count({ range: { lower: 'z', upper: 'a' } })).toBe(0)
  await view.close()
  await store.close()
})

test('a table too large to be read at once does not stop a projection (H14)', async () => {
  const store = await indexedDbStore()
  const each = Array.from({ length: 40 }, (_, at) => added(`k${at}`))
  await store.append({ stream: 's', events: each })
  await runProjection(store, model())
  await store.append({ stream: 's', events: each })
  const original = IDBObjectStore.prototype.getAll
  let refused = 0
  vi.spyOn(IDBObjectStore.prototype, 'getAll').mockImplementation(function (this: IDBObjectStore, ...given) {
    if (this.name !== 'rows' || given.length > 0) return original.apply(this, given)
    refused += 1
    throw new DOMException('Maximum IPC message size exceeded.', 'UnknownError')
  })
  expect(
    await runProjection(store, model(), { poll: { failureBackoff: 0, maxConsecutiveFailures: 50 } }),
  ).toMatchObject({ applied: 40, reason: 'caught-up' })
  expect(refused).toBeGreaterThan(0)
  await store.close()
})

test('I8: a query that is refused leaves no timer behind', async () => {
  const store = await indexedDbStore(1)
  await runProjection(store, model())
  const view = await openReadModel(store, model())
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  expect(await codeOf(view.rows.getAll({ range: { lower: 'z', upper: 'a' } }))).toBe('fulfilled')
  expect(await codeOf(view.rows.getAll({ range: { lower: Number.NaN } }))).toBe('invalid-argument')
  expect(await codeOf(view.rows.getAll({ index: 'none' as never }))).toBe('invalid-argument')
  expect(await codeOf(view.rows.get('a'))).toBe('fulfilled')
  expect(vi.getTimerCount()).toBe(0)
  await view.close()
  await store.close()
})

describe('while another tab removes that version', () => {
  /** A tab that cleans up holds the lock exclusively while its deletion is blocked by a frozen page. */
  const takeLock = () => {
    const request = (_name: string, { ifAvailable }: LockOptions, work: (lock: unknown) => unknown) =>
      ifAvailable === true ? Promise.resolve(work(null)) : new Promise(() => {})
    vi.stubGlobal('navigator', { locks: { request } })
  }

  test('openReadModel does not wait for the lock', async () => {
    const store = await indexedDbStore(1)
    takeLock()
    const view = await openReadModel(store, model())
    expect(await view.position()).toBe(0)
    await view.close()
    await store.close()
  })

  test('nor does a projection, neither to start nor to stop', async () => {
    const clock = virtualClock()
    const store = await indexedDbStore(1)
    takeLock()
    const projection = startProjection(store, model(), { clock })
    expect(await clock.runUntil(projection.caughtUp(1))).toMatchObject({ position: 1 })
    const before = clock.monotonic()
    await projection.stop()
    expect(clock.monotonic()).toBe(before)
    expect(await codeOf(projection.caughtUp(1))).toBe('closed')
    await store.close()
  })
})
