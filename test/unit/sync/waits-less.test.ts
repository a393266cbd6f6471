// What stands between an append and its row on another device: counted, as times depend on the machine.
import { afterEach, expect, test, vi } from 'vitest'
import { defineEvents, defineProjection, openReadModel, startProjection, table } from 'tidemark'
import { openSyncedStore, startSync } from 'tidemark/sync'
import { testSyncServer, virtualClock } from 'tidemark/testing'
import { nextTask } from '../../../src/platform/tasks.js'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'

fakeIndexedDB()

const events = defineEvents<{ type: 'Added'; data: { key: string } }>()
const counts = defineProjection(events, {
  name: 'counts',
  tables: { rows: table<{ key: string; times: number }>({ key: 'key' }) },
  fold: {
    rows: {
      key: ({ data }) => data.key,
      evolve: (row, { data }) => ({ key: data.key, times: (row?.times ?? 0) + 1 }),
    },
  },
})

const begin = IDBDatabase.prototype.transaction
afterEach(() => {
  IDBDatabase.prototype.transaction = begin
})

/** The transactions from now on, by database and mode: once those of before have ended. */
async function counted(): Promise<string[]> {
  const all: string[] = []
  IDBDatabase.prototype.transaction = function (...given: Parameters<typeof begin>) {
    all.push(`${this.name} ${String(given[0])} ${given[1]} ${given[2]?.durability}`)
    return begin.apply(this, given)
  }
  for (let before = -1; before !== all.length;) {
    before = all.length
    for (let turn = 0; turn < 100; turn += 1) await nextTask()
  }
  all.length = 0
  return all
}

const ofOutbox = (each: string) => each.includes(' sync,outbox')

let made = 0

test('a device in contact sends what is appended with no transaction in between, and keeps no verdict from the disk', async () => {
  const server = testSyncServer()
  const name = `waits-${(made += 1)}`
  let all: string[] = []
  let atPush: readonly string[] | undefined
  const fetch: typeof globalThis.fetch = (url, init) => {
    if (String(url).endsWith('/push')) atPush = [...all]
    return server.fetch(url, init)
  }
  const store = await openSyncedStore({ name, events, url: server.url, fetch })
  const sync = startSync(store)
  await sync.now()
  await vi.waitUntil(() => sync.status.getSnapshot().status === 'idle', { interval: 1 })
  all = await counted()
  await store.append('s', events.Added({ key: 'a' }))
  await vi.waitUntil(() => sync.status.getSnapshot().cursor === 1, { interval: 1 })
  expect(atPush?.filter(ofOutbox)).toHaveLength(1)
  expect(all.filter((each) => each.endsWith('strict'))).toHaveLength(1)
  await store.close()
})

test('a device that gets news with a hint shows them after two transactions: one stores them, the other one their rows', async () => {
  const server = testSyncServer()
  const name = `waits-${(made += 1)}`
  let all: string[] = []
  const store = await openSyncedStore({ name, events, url: server.url, fetch: server.fetch })
  // Of the run, which looks for itself once in a while.
  const clock = virtualClock()
  const running = startProjection(store, counts, { clock })
  const view = await openReadModel(store, counts)
  const live = view.rows.liveRow('a')
  const unsubscribe = live.subscribe(() => {})
  await live.ready()
  const sync = startSync(store)
  await vi.waitUntil(() => sync.status.getSnapshot().status === 'idle', { interval: 1 })
  await clock.runUntil(running.caughtUp(0))
  all = await counted()
  const asked = server.requests.length
  await server.append([{ stream: 's', type: 'Added', data: { key: 'a' } }], 'bert')
  const isShown = async () => {
    await clock.advance(1)
    return live.getSnapshot().data?.times === 1
  }
  await vi.waitUntil(isShown, { interval: 1 })
  expect(server.requests.slice(asked)).toEqual([])
  expect(all.find(ofOutbox)).toContain('readwrite')
  const rowsStored = all.findIndex((each) => each.startsWith(`tidemark:${name}:`) && each.includes('readwrite'))
  expect(rowsStored).toBeGreaterThan(0)
  expect(all.slice(0, rowsStored).filter((each) => ofOutbox(each))).toHaveLength(1)
  expect(all.slice(0, rowsStored).filter((each) => each.includes('commits'))).toHaveLength(1)
  expect(all.slice(rowsStored + 1).filter((each) => each.includes(' rows'))).toEqual([])
  unsubscribe()
  await view.close()
  await sync.stop()
  await clock.runUntil(running.stop())
  await store.close()
})
