// N96: the end of an adoption, where the local store grows meanwhile. What could not be taken over closes nothing.
import { afterEach, expect, test, vi } from 'vitest'
import { defineEvents, openEventStore, type TidemarkStore } from 'tidemark'
import { openEventStore as openMemoryStore, openSyncedStore as openSyncedMemory } from 'tidemark/memory'
import { adoptStore, openSyncedStore } from 'tidemark/sync'
import { testSyncServer } from 'tidemark/testing'
import { MemoryLog } from '../../../src/log/memory/memory-log.js'
import { editRows } from '../../support/raw-database.js'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'

fakeIndexedDB()

type Event = { type: 'Added'; data: number }
const events = defineEvents<Event>()
const added = (n: number) => events.Added(n)

const open: { close(): Promise<void> }[] = []
afterEach(async () => {
  vi.restoreAllMocks()
  for (const each of open.splice(0)) await each.close()
})
const kept = <T extends { close(): Promise<void> }>(store: T): T => {
  open.push(store)
  return store
}

let made = 0
async function stores(medium: 'memory' | 'indexeddb') {
  const name = `adopt-close-${(made += 1)}`
  const { url, fetch } = testSyncServer()
  const [openLocal, openSynced] =
    medium === 'memory' ? [openMemoryStore, openSyncedMemory] : [openEventStore, openSyncedStore]
  const local = kept(await openLocal({ name: `${name}-local`, events }))
  const synced = kept(await openSynced({ name, events, url, fetch }))
  await local.append('s', [added(1), added(2)])
  return { local, synced }
}

/** The local store, to which another tab appends after each look at its head, and `last` at the last one. */
function busy(local: TidemarkStore<Event>, last: () => unknown) {
  let looks = 0
  return {
    ...local,
    async head() {
      const head = await local.head()
      looks += 1
      if (looks === 4) await last()
      else await local.append('tab', [added(looks)])
      return head
    },
  } as TidemarkStore<Event>
}

/** Each look at the clock is a slice later, so what pauses at all pauses everywhere. Resolves when a long append begins. */
function slowly(): Promise<void> {
  let now = 0
  vi.spyOn(performance, 'now').mockImplementation(() => (now += 10))
  const { append } = MemoryLog.prototype
  return new Promise((resolve) => {
    vi.spyOn(MemoryLog.prototype, 'append').mockImplementation(function (this: MemoryLog, wanted, options) {
      if (wanted.events.length > 100) resolve()
      return append.call(this, wanted, options)
    })
  })
}

const many = (count: number) => Array.from({ length: count }, (_, n) => added(n))

test('N96: in memory, an append that is under way at the end is looked at before anything is closed', async () => {
  const { local, synced } = await stores('memory')
  const begun = slowly()
  let late: Promise<unknown> = Promise.resolve()
  const adopting = adoptStore(
    busy(local, () => {
      // More than a server takes.
      late = local.append('tab', many(20_000))
      return begun
    }),
    synced,
  )
  await expect(adopting).rejects.toMatchObject({ code: 'invalid-event' })
  expect(await late).toMatchObject({ position: 20_005 })
  // It can go on.
  expect(await local.append('s', added(3))).toMatchObject({ position: 20_006 })
})

test('N96: in memory, an append that is under way at the end is taken over, and none after it', async () => {
  const { local, synced } = await stores('memory')
  const begun = slowly()
  const late: Promise<unknown>[] = []
  await adoptStore(
    busy(local, () => {
      // The second one waits for the first.
      for (let n = 0; n < 2; n += 1) late.push(local.append('late', many(900)).catch((error: unknown) => error))
      return begun
    }),
    synced,
  )
  const outcomes = await Promise.all(late)
  expect(outcomes[1]).toMatchObject({ code: 'unsupported-format' })
  expect(outcomes[0]).toMatchObject({ position: 905 })
  expect(await local.head()).toBe(905)
  let taken = 0
  for await (const _ of synced.readStream('late')) taken += 1
  expect(taken).toBe(900)
})

test.each([
  ['an event that cannot be read', 'event-unreadable', 'its record is no JSON'],
  ['a hole', 'log-inconsistent', 'hole'],
])('N96: %s at the end is noticed before anything is closed, with the reason', async (what, code, reason) => {
  const { local, synced } = await stores('indexeddb')
  let damaged = 0
  const adopting = adoptStore(
    busy(local, async () => {
      damaged = (await local.append('tab', added(4))).position
      await local.append('tab', added(5))
      await editRows(local.name, ({ commits }) => {
        const record = commits.get(damaged)
        record.onsuccess = () => {
          if (what === 'a hole') commits.delete(damaged)
          else commits.put({ ...(record.result as object), events: 'garbage' })
        }
      })
    }),
    synced,
  )
  const refused: unknown = await adopting.catch((error: unknown) => error)
  expect(refused).toMatchObject({ code, position: damaged, message: expect.stringContaining(reason) })
  expect(await local.append('s', added(6))).toMatchObject({ position: damaged + 2 })
})
