// What a context says of its own commits after another one gave them back to a restored server, and after a reload.
import { getEventListeners } from 'node:events'
import { expect, test, vi } from 'vitest'
import { defineCommand, defineEvents, deleteEventStore, execute } from 'tidemark'
import { defineCommands, openSyncedStore, startSync } from 'tidemark/sync'
import { testSyncServer, virtualClock } from 'tidemark/testing'
import { syncPartsOf } from '../../../src/sync/sync-parts.js'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'

fakeIndexedDB()

type Event = { type: 'Added'; data: { n: number } }
const events = defineEvents<Event>()
const commands = defineCommands({
  add: defineCommand(events, (stream: string) => ({
    streams: [stream],
    initial: 0,
    evolve: (count: number) => count + 1,
    decide: (count: number) => [{ stream, type: 'Added' as const, data: { n: count } }],
  })),
})

let count = 0
const fresh = () => `own-commits-${(count += 1)}`

test('a commit that another context gave back is where it is now, not where it was', async () => {
  const server = testSyncServer()
  const { url, fetch } = server
  const name = fresh()
  const [one, two] = [
    await openSyncedStore({ name, events, url, fetch }),
    await openSyncedStore({ name, events, url, fetch }),
  ]
  const backup = server.backup()
  const { commit } = await one.append('a', events.Added({ n: 1 }))
  const first = startSync(one)
  await first.now()
  expect(await commit?.settled()).toMatchObject({ status: 'confirmed', position: 1 })
  await first.stop()
  server.restore(backup)
  await server.append([{ stream: 'a', type: 'Added', data: { n: 2 } }], 'bert')
  const second = startSync(two)
  await second.now()
  await second.now()
  await second.stop()
  expect(await two.head()).toBe(2)
  const known = await one.ownCommit(commit!.id)
  expect(known).toMatchObject({ id: commit!.id, status: 'confirmed', position: 2, events: [{ data: { n: 1 } }] })
  expect(await commit?.settled()).toMatchObject({ status: 'confirmed', position: 2, events: [{ data: { n: 1 } }] })
  await one.close()
  await two.close()
})

test('a commit that wants nothing when it is decided again is confirmed with no events, in every tab and after a reload', async () => {
  const server = testSyncServer()
  const { url, fetch } = server
  const name = fresh()
  const once = defineCommands({
    once: defineCommand(events, (stream: string) => ({
      streams: [stream],
      initial: 0,
      evolve: (count: number) => count + 1,
      decide: (count: number) => (count > 0 ? [] : [{ stream, type: 'Added' as const, data: { n: 0 } }]),
    })),
  })
  const open = () => openSyncedStore({ name, events, url, fetch, commands: once })
  const [one, two] = [await open(), await open()]
  const { commit } = (await execute(one, once.once('a'))) as { commit?: { id: string } }
  const { id } = commit as { id: string }
  const [here, there] = [await one.ownCommit(id), await two.ownCommit(id)]
  const settled = [here?.settled(), there?.settled()]
  await server.append([{ stream: 'a', type: 'Added', data: { n: 7 } }], 'bert')
  const sync = startSync(one)
  await sync.now()
  await sync.now()
  const nothing = { id, status: 'confirmed', events: [] }
  expect(await Promise.all(settled)).toMatchObject([nothing, nothing])
  await sync.stop()
  await one.close()
  await two.close()
  const later = await open()
  expect(await later.ownCommit(id)).toMatchObject(nothing)
  await later.close()
})

test('what the app discarded is not in the outbox any more, also while the server is asked to cancel it', async () => {
  const clock = virtualClock()
  const server = testSyncServer({ clock })
  const { url, fetch } = server
  const store = await openSyncedStore({ name: fresh(), events, url, fetch, clock })
  const sync = startSync(store, { wake: 'poll' })
  await vi.waitUntil(async () => {
    await clock.advance(1)
    return sync.status.getSnapshot().status === 'idle'
  })
  server.partition('down')
  const { commit } = await clock.runUntil(store.append('a', events.Added({ n: 1 })))
  await clock.advance(100)
  await clock.runUntil(commit?.discard() as Promise<void>)
  expect(await clock.runUntil(store.outbox())).toEqual([])
  expect(sync.status.getSnapshot().pending).toBe(0)
  expect(await clock.runUntil(store.ownCommit(commit!.id) as Promise<unknown>)).toMatchObject({ status: 'discarded' })
  server.partition()
  expect(await clock.runUntil(commit!.settled())).toMatchObject({ status: 'confirmed' })
  await clock.runUntil(sync.stop())
  await store.close()
})

test('who waits for a commit finds out immediately that its database was deleted', async () => {
  const clock = virtualClock()
  const { url, fetch } = testSyncServer()
  const name = fresh()
  const store = await openSyncedStore({ name, events, url, fetch, clock })
  const { commit } = await store.append('a', events.Added({ n: 1 }))
  let outcome: unknown
  const waiting = commit!.settled().catch((error: unknown) => (outcome = error))
  await deleteEventStore(name)
  // Before the next look at the storage.
  await waiting
  expect(outcome).toMatchObject({ code: 'storage-lost' })
  expect(clock.monotonic()).toBe(0)
  await store.close()
})

test('a commit that was decided again keeps its name after a reload', async () => {
  const server = testSyncServer()
  const { url, fetch } = server
  const name = fresh()
  const open = () => openSyncedStore({ name, events, url, fetch, commands })
  const store = await open()
  const result = await execute(store, commands.add('a'))
  const { commit } = result as { commit?: { id: string } }
  await server.append([{ stream: 'a', type: 'Added', data: { n: 7 } }], 'bert')
  const sync = startSync(store)
  await sync.now()
  await sync.now()
  const decidedAgain = { id: commit!.id, status: 'confirmed', position: 2, events: [{ data: { n: 1 } }] }
  expect(await store.ownCommit(commit!.id)).toMatchObject(decidedAgain)
  await store.close()
  const later = await open()
  const known = await later.ownCommit(commit!.id)
  expect(known).toMatchObject(decidedAgain)
  expect(await later.ownCommit(known!.events[0]!.id)).toMatchObject(decidedAgain)
  await later.close()
})

test('N129: any number of callers wait for commits with one listener, and all of them end with the store', async () => {
  const server = testSyncServer()
  server.partition('both')
  const { url, fetch } = server
  const store = await openSyncedStore({ name: fresh(), events, url, fetch })
  const { closed } = syncPartsOf(store)
  const before = getEventListeners(closed, 'abort').length
  const appended = []
  for (let n = 0; n < 20; n += 1) appended.push(await store.append('a', events.Added({ n })))
  const settled = appended.map(({ commit }) => commit?.settled())
  const ended = Promise.allSettled(settled)
  // Each of them waits by now.
  await store.outbox()
  expect(getEventListeners(closed, 'abort')).toHaveLength(before)
  await store.close()
  expect(await ended).toEqual(
    settled.map(() => ({ status: 'rejected', reason: expect.objectContaining({ code: 'closed' }) })),
  )
})
