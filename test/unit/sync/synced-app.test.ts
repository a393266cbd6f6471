// What an app that syncs does where it does not sync by itself, and when another one takes over.
import { afterEach, expect, test, vi } from 'vitest'
import { defineEvents, defineProjection, table } from 'tidemark'
import { openSyncedStore } from 'tidemark/memory'
import { tidemark, type SyncedAppOptions, type SyncedStore } from 'tidemark/sync'
import { testSyncServer, virtualClock } from 'tidemark/testing'

afterEach(() => void vi.unstubAllGlobals())

type TodoEvent = { type: 'TodoAdded'; data: { title: string } }
const events = defineEvents<TodoEvent>()
const todos = defineProjection(events, {
  name: 'todos',
  tables: { items: table<{ id: string; title: string }>({ key: 'id' }) },
  on: { TodoAdded: ({ stream, data }, { items }) => items.put({ id: stream, title: data.title }) },
})

function appOf(server: ReturnType<typeof testSyncServer>, more: Partial<SyncedAppOptions<TodoEvent>> = {}) {
  const stores: SyncedStore<TodoEvent>[] = []
  const app = tidemark({
    name: `app-${crypto.randomUUID()}`,
    events,
    models: { todos },
    sync: { url: server.url, fetch: server.fetch },
    ...more,
    async open(options) {
      const store = await openSyncedStore(options)
      stores.push(store)
      return store
    },
  })
  return { app, stores }
}
const inServiceWorker = () => vi.stubGlobal('ServiceWorkerGlobalScope', class {})
const add = (title: string) => events.TodoAdded({ title })

test('in a service worker nothing is sent until catchUp: that sends and fetches, and then runs the models', async () => {
  inServiceWorker()
  const server = testSyncServer()
  await server.append([{ stream: 'todo-1', type: 'TodoAdded', data: { title: 'Milk' } }])
  const { app } = appOf(server)
  await app.append('todo-2', add('Bread'))
  expect(server.requests).toEqual([])
  await app.catchUp({ budget: { maxTime: 20_000 } })
  expect((await server.log()).map(({ stream }) => stream)).toEqual(['todo-1', 'todo-2'])
  expect(await app.todos.items.getAll()).toMatchObject([{ title: 'Milk' }, { title: 'Bread' }])
  // Nothing goes on after that.
  const { length } = server.requests
  await app.append('todo-3', add('Salt'))
  expect(server.requests).toHaveLength(length)
  await app.close()
})

test('in a service worker a button may still ask for one round, and pause', async () => {
  inServiceWorker()
  const server = testSyncServer()
  const { app } = appOf(server)
  await app.append('todo-1', add('Milk'))
  await app.sync.pause()
  expect(await app.sync.now()).toMatchObject({ status: 'paused', pending: 1 })
  await app.sync.resume()
  expect(await app.sync.now()).toMatchObject({ pending: 0 })
  expect(await server.log()).toHaveLength(1)
  await app.close()
})

test('without a server in reach catchUp runs the models all the same', async () => {
  inServiceWorker()
  const server = testSyncServer()
  const { app, stores } = appOf(server)
  await server.append([{ stream: 'todo-1', type: 'TodoAdded', data: { title: 'Milk' } }])
  await app.catchUp()
  server.partition('both')
  await app.append('todo-2', add('Bread'))
  await app.catchUp({ budget: { maxTime: 2_000 } })
  expect(await stores[0]?.outbox()).toHaveLength(1)
  expect(await app.todos.items.getAll()).toMatchObject([{ title: 'Milk' }, { title: 'Bread' }])
  const leaving = AbortSignal.abort(new Error('over'))
  await app.catchUp({ signal: leaving })
  await expect(app.catchUp({ budget: { maxTime: -1 } })).rejects.toMatchObject({ code: 'invalid-argument' })
  await app.close()
})

test('the address is read at each opening, with the name; a closed app sends nothing more', async () => {
  const clock = virtualClock()
  const server = testSyncServer({ clock })
  let user = 'anna'
  const read: string[] = []
  const { app, stores } = appOf(server, {
    clock,
    name: () => `user-${user}`,
    sync: {
      url: () => {
        read.push(user)
        return server.url
      },
      fetch: server.fetch,
    },
  })
  const opening = app.ready()
  user = 'bert'
  await clock.runUntil(opening)
  await clock.runUntil(app.reopen())
  expect(read).toEqual(['anna', 'bert'])
  expect(stores.map(({ name }) => name)).toEqual(['user-anna', 'user-bert'])
  await clock.runUntil(app.close())
  const { length } = server.requests
  await clock.advance(600_000)
  expect(server.requests).toHaveLength(length)
  expect(clock.pending).toBe(0)
})

test('a store that does not sync is refused, and closed', async () => {
  const server = testSyncServer()
  const { openEventStore } = await import('tidemark/memory')
  const local = await openEventStore({ name: 'local', events })
  const app = tidemark({
    name: 'local',
    events,
    sync: { url: server.url },
    open: async () => local as unknown as SyncedStore<TodoEvent>,
  })
  await expect(app.ready()).rejects.toMatchObject({ code: 'invalid-argument' })
  await expect(local.head()).rejects.toMatchObject({ code: 'closed' })
  await app.close()
})

test('where nothing can be stored, as on a server, nothing starts and nothing hangs', async () => {
  const server = testSyncServer()
  const app = tidemark({ name: 'none', events, sync: { url: server.url, fetch: server.fetch } })
  const stop = app.sync.status.subscribe(() => {})
  expect(app.sync.liveRefused().getSnapshot().status).toBe('loading')
  await expect(app.sync.outbox()).rejects.toMatchObject({ code: 'storage-unavailable' })
  await expect(app.append('todo-1', add('Milk'), { until: 'confirmed' })).rejects.toMatchObject({
    code: 'storage-unavailable',
  })
  expect(server.requests).toEqual([])
  stop()
  await app.close()
})
