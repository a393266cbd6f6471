// Whose work it is, where the app says that: before the server has said anything, and whoever is signed in by then.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { defineEvents, openEventStore } from 'tidemark'
import { openSyncedStore as inMemory } from 'tidemark/memory'
import { adoptStore, openSyncedStore, startSync, syncOnce, tidemark, type SyncedStoreOptions } from 'tidemark/sync'
import { testSyncServer, virtualClock } from 'tidemark/testing'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'

fakeIndexedDB()

type DoneEvent = { type: 'Done'; data: { by: string } }
const events = defineEvents<DoneEvent>()
const done = (by: string) => events.Done({ by })

/** A server, and who is signed in on this device: any request is of that user. */
function world(user: string) {
  const server = testSyncServer()
  const session = { user }
  const remote = {
    url: server.url,
    fetch: server.fetch,
    headers: () => ({ authorization: `Bearer ${session.user}` }),
  }
  const pushes = () =>
    server.requests.filter(({ name, status }) => name === 'push' && status === 200).map(({ author }) => author)
  return { server, session, remote, pushes }
}
const refused = { status: 'stopped', reason: 'other-author' }

describe('N127: a store that never had contact', () => {
  test('is not sent as the next user, in a tab nor in a service worker, and is sent once its own user is back', async () => {
    const { server, session, remote, pushes } = world('tom')
    const store = await inMemory({ name: 'tom', events, ...remote, author: 'tom' })
    const sync = startSync(store, { wake: 'poll' })
    server.partition('both')
    await store.append('order-1', done('tom'))
    expect(await sync.now()).toMatchObject({ status: 'offline', pending: 1 })
    session.user = 'tina'
    server.partition()
    expect(await sync.now()).toMatchObject({ ...refused, pending: 1 })
    expect(sync.status.getSnapshot().message).toMatch(/'tina'.*'tom'/)
    expect(await syncOnce(store)).toMatchObject({ ...refused, pending: 1 })
    expect([await server.log(), pushes()]).toEqual([[], []])
    session.user = 'tom'
    expect(await sync.now()).toMatchObject({ status: 'idle', pending: 0 })
    expect(pushes()).toEqual(['tom'])
    await sync.stop()
    await store.close()
  })

  test('nor what it adopts', async () => {
    const { server, remote } = world('tina')
    const local = await openEventStore({ name: 'guest', events })
    await local.append('order-1', done('tom'))
    const store = await openSyncedStore({ name: 'adopting', events, ...remote, author: 'tom' })
    expect(await adoptStore(local, store)).toMatchObject({ confirmed: 0, pending: 1 })
    expect(await syncOnce(store)).toMatchObject({ ...refused, pending: 1 })
    expect(await server.log()).toEqual([])
    await local.close()
    await store.close()
  })

  test('without an author it belongs to whoever is signed in first; a later opening with one sends nothing', async () => {
    const { session, remote, server } = world('tina')
    const open = (author?: string) => openSyncedStore({ name: 'old', events, ...remote, author })
    const store = await open()
    await store.append('order-1', done('tom'))
    expect(await syncOnce(store)).toMatchObject({ status: 'idle', pending: 0 })
    await store.close()
    const { length } = server.requests
    const again = await open('tom')
    await again.append('order-1', done('tom'))
    for (session.user of ['tina', 'tom']) expect(await syncOnce(again)).toMatchObject({ ...refused, pending: 1 })
    expect(server.requests).toHaveLength(length)
    await again.close()
  })

  test('whoever is signed in, and whatever the network does: nothing is stored as another', async () => {
    const step = fc.oneof(
      fc.constantFrom('append', 'now', 'once').map((act) => ({ act })),
      fc.constantFrom('tom', 'tina', '').map((user) => ({ act: 'sign in', user })),
      fc.constantFrom<('both' | 'up' | 'down' | undefined)[]>('both', 'up', 'down', undefined).map((way) => ({
        act: 'network',
        way,
      })),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const clock = virtualClock()
        const server = testSyncServer({ clock })
        let user = 'tom'
        const headers = () => ({ authorization: `Bearer ${user}` })
        const remote = { url: server.url, fetch: server.fetch, headers, clock }
        const store = await inMemory({ name: 'tom', events, ...remote, author: 'tom' })
        const sync = startSync(store, { wake: 'poll' })
        for (const each of steps) {
          if ('user' in each) user = each.user
          else if ('way' in each) server.partition(each.way as 'both')
          else if (each.act === 'append') await clock.runUntil(store.append('order-1', done('tom')))
          else await clock.runUntil(each.act === 'now' ? sync.now() : syncOnce(store))
        }
        const stored = server.requests.filter(({ name, status }) => name === 'push' && status === 200)
        expect(stored.filter(({ author }) => author !== 'tom')).toEqual([])
        // And nothing of it is lost.
        user = 'tom'
        server.partition()
        expect(await clock.runUntil(sync.now())).toMatchObject({ status: 'idle', pending: 0 })
        expect(await server.log()).toHaveLength(steps.filter(({ act }) => act === 'append').length)
        await clock.runUntil(sync.stop())
        await store.close()
      }),
      { numRuns: 40 },
    )
  })
})

test('an app reads its author at each opening, together with its name', async () => {
  const { server, session, remote, pushes } = world('tom')
  const app = tidemark({
    name: () => `app/${session.user}`,
    events,
    sync: { ...remote, wake: 'poll', author: () => session.user },
  })
  server.partition('both')
  await app.append('order-1', done('tom'))
  session.user = 'tina'
  server.partition()
  expect(await app.sync.now()).toMatchObject({ ...refused, pending: 1 })
  await app.reopen()
  await app.append('order-2', done('tina'), { until: 'confirmed' })
  session.user = 'tom'
  await app.reopen()
  expect(await app.sync.now()).toMatchObject({ status: 'idle', pending: 0 })
  expect(pushes()).toEqual(['tina', 'tom'])
  await app.close()
})

test('an author that is no text is refused, wherever it is given', async () => {
  const { remote } = world('tom')
  const author = 7 as unknown as string
  await expect(inMemory({ name: 'x', ...remote, author } satisfies SyncedStoreOptions)).rejects.toThrow(
    /^author must be a text/,
  )
  expect(() => tidemark({ name: 'x', events, sync: { ...remote, author } })).toThrow(/^sync.author must be a text/)
  const app = tidemark({ name: 'x', events, open: inMemory, sync: { ...remote, author: () => author } })
  await expect(app.ready()).rejects.toThrow(/^sync.author must be a text/)
  await app.close()
})
