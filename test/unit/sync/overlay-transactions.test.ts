// What a commit of the projection costs the views of a synced store, counted: transactions of the read model.
import { defineEvents, defineProjection, openReadModel, table } from 'tidemark'
import { afterEach, expect, test, vi } from 'vitest'
import { openSyncedStore } from '../../../src/sync/index.js'
import { virtualClock } from '../../../src/testing/virtual-clock.js'
import { Tab, type TestEvent } from '../../contract/sync/overlay-device.js'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'

fakeIndexedDB()

afterEach(() => void vi.restoreAllMocks())

type Event = { type: 'Added'; data: { key: string } }
const events = defineEvents<Event>()
const model = defineProjection(events, {
  name: 'sums',
  tables: { sums: table<{ key: string; sum: number }>({ key: 'key' }) },
  on: {
    async Added({ data: { key } }, { sums }) {
      const row = await sums.get(key)
      sums.put({ key, sum: (row?.sum ?? 0) + 1 })
    },
  },
})

let serial = 0
const added = (key: string): TestEvent => ({ id: `event-${(serial += 1)}`, type: 'Added', stream: key, data: { key } })

/** Transactions of readers for one commit of others: with a read after it, and of a live query that it touches. */
async function transactions(pending: number) {
  const name = `transactions-${crypto.randomUUID()}`
  const tab = new Tab(await openSyncedStore({ name, url: 'https://example.com/log', durability: 'relaxed', events }))
  const view = await openReadModel(tab.store as never, model, { clock: virtualClock() })
  const log: TestEvent[] = []
  const confirm = async (event: TestEvent) => {
    await tab.pull([[event]], log)
    log.push(event)
    await tab.run(model as never)
  }
  await confirm(added('theirs'))
  for (let at = 0; at < pending; at += 1) await tab.append([added(`own-${at}`)])
  expect(await view.sums.count()).toBe(1 + pending)
  const opened = vi.spyOn(IDBDatabase.prototype, 'transaction')
  const ofReaders = () =>
    opened.mock.calls.filter(
      ([stores, mode], at) =>
        mode !== 'readwrite' && (opened.mock.contexts[at] as IDBDatabase).name.includes('sums') && stores !== undefined,
    ).length
  await confirm(added('theirs'))
  opened.mockClear()
  expect(await view.sums.get('theirs')).toEqual({ key: 'theirs', sum: 2 })
  const read = ofReaders()
  const query = view.sums.liveRow('theirs')
  query.subscribe(() => {})
  await query.ready()
  opened.mockClear()
  await confirm(added('theirs'))
  await expect.poll(() => query.getSnapshot().data, { interval: 1 }).toEqual({ key: 'theirs', sum: 3 })
  const live = ofReaders()
  await view.close()
  await tab.store.close()
  return { read, live }
}

test('N106: a commit of others costs as much with many pending events as with one', async () => {
  expect(await transactions(0)).toEqual({ read: 1, live: 3 })
  const one = await transactions(1)
  // What the pending event read is read again.
  expect(one.read).toBe(2)
  expect(one.live).toBeLessThanOrEqual(5)
  expect(await transactions(20)).toEqual(one)
})
