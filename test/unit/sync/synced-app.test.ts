// What an app that syncs does where it does not sync by itself, and when another one takes over.
import { afterEach, expect, test, vi } from 'vitest'
import { defineEvents, defineProjection, table } from 'tidemark'
import { openSyncedStore } from 'tidemark/memory'
import { defineCommands, syncOnce, tidemark, type SyncedAppOptions, type SyncedStore } from 'tidemark/sync'
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

test('with a clock that stands still, an append is sent and confirmed, and now() resolves', async () => {
  const clock = virtualClock()
  const server = testSyncServer({ clock })
  const { app } = appOf(server, { clock })
  await app.append('todo-1', add('Milk'), { until: 'confirmed' })
  expect(await app.sync.now()).toMatchObject({ status: 'idle', pending: 0, cursor: 1 })
  // Also what is appended while it waits.
  await app.append('todo-2', add('Bread'), { until: 'confirmed' })
  await app.append('todo-3', add('Salt'))
  expect(await app.sync.now()).toMatchObject({ status: 'idle', pending: 0, cursor: 3 })
  expect((await server.log()).map(({ stream }) => stream)).toEqual(['todo-1', 'todo-2', 'todo-3'])
  expect(clock.monotonic()).toBe(0)
  await app.close()
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
  await expect(app.ready()).rejects.toMatchObject({
    code: 'invalid-argument',
    message: expect.stringMatching(/^open must open a synced store/),
  })
  await expect(local.head()).rejects.toMatchObject({ code: 'closed' })
  await app.close()
})

test('the openEventStore of the guide in an app that syncs: the error names open, and what it takes', async () => {
  const { openEventStore } = await import('tidemark/memory')
  const { openEventStore: onDevice } = await import('tidemark')
  for (const open of [openEventStore, onDevice]) {
    vi.stubGlobal('indexedDB', {})
    const app = tidemark({ name: 'local', events, sync: { url: '/logs/7', fetch }, open: open as never })
    await expect(app.ready()).rejects.toMatchObject({
      code: 'invalid-argument',
      message: expect.stringMatching(/^open must open a synced store, as the openSyncedStore of tidemark\/memory/),
    })
    await app.close()
  }
  const failing = new Error('mine')
  const app = tidemark({ name: 'x', events, sync: { url: '/logs/7', fetch }, open: () => Promise.reject(failing) })
  await expect(app.ready()).rejects.toBe(failing)
  await app.close()
})

test('an address that cannot be one is refused at each opening, and not offline for ever', async () => {
  const good = { name: 'url', fetch: async () => Response.error() }
  for (const url of [
    'nonsense',
    'x/logs/7',
    'ftp://a.test/7',
    'https://u:p@a.test/7',
    'https://a.test/7#x',
    'http://',
    7,
  ]) {
    await expect(openSyncedStore({ ...good, url: url as string })).rejects.toMatchObject({
      code: 'invalid-argument',
      message: expect.stringMatching(/^url must be the address of a log/),
    })
    const app = tidemark({ name: 'url', events, open: openSyncedStore, sync: { url: () => url as string } })
    await expect(app.ready()).rejects.toMatchObject({
      code: 'invalid-argument',
      message: expect.stringMatching(/^sync\.url must be the address of a log/),
    })
    await app.close()
  }
  for (const url of ['https://a.test', 'http://localhost:1/logs/7?tenant=b', '/logs/7', 'HTTPS://a.test/7'])
    await (await openSyncedStore({ ...good, url })).close()
  // Relative to nothing: there is no page here, and no fetch that knows better.
  await expect(openSyncedStore({ name: 'url', url: '/logs/7' })).rejects.toThrow(/^url must be/)
  vi.stubGlobal('location', { href: 'https://shop.test/cart/1' })
  await (await openSyncedStore({ name: 'url', url: '/logs/7' })).close()
})

test('headers are an object, a list or a function, wherever they are given', async () => {
  const server = testSyncServer()
  const given: SyncedAppOptions<TodoEvent>['sync']['headers'][] = [
    { authorization: 'Bearer anna' },
    [['Authorization', 'Bearer anna']],
    new Headers({ authorization: 'Bearer anna' }),
    async () => ({ authorization: 'Bearer anna' }),
  ]
  for (const headers of given) {
    const store = await openSyncedStore({ name: 'headers', events, url: server.url, fetch: server.fetch, headers })
    expect(await syncOnce(store)).toMatchObject({ status: 'idle' })
    await store.close()
  }
  expect(new Set(server.requests.map(({ author }) => author))).toEqual(new Set(['anna']))
  await expect(openSyncedStore({ name: 'headers', url: server.url, headers: { 'a b': 'c' } })).rejects.toThrow(
    /^headers must be headers, or a function/,
  )
})

test('headers that are the same each time are not sent twice after a 401', async () => {
  const server = testSyncServer({ author: () => new Response(null, { status: 401 }) })
  const store = await openSyncedStore({ name: '401', url: server.url, fetch: server.fetch, headers: { a: 'b' } })
  expect(await syncOnce(store)).toMatchObject({ status: 'paused', reason: 'unauthorized' })
  expect(server.requests).toHaveLength(1)
  await store.close()
})

test('with a codec the server stores what it cannot read', async () => {
  const server = testSyncServer()
  const codec = {
    encode: (data: unknown) => ({ sealed: btoa(JSON.stringify(data)) }),
    decode: (stored: unknown) => JSON.parse(atob((stored as { sealed: string }).sealed)) as unknown,
  }
  const [one, two] = [appOf(server, { codec }), appOf(server, { codec })]
  await one.app.append('todo-1', add('Milk'), { until: 'confirmed' })
  await two.app.sync.now()
  await two.app.todos.caughtUp(1)
  expect(await two.app.todos.items.getAll()).toEqual([{ id: 'todo-1', title: 'Milk' }])
  expect((await server.log()).map(({ data }) => data)).toEqual([{ '~': { sealed: btoa('{"title":"Milk"}') } }])
  await one.app.close()
  await two.app.close()
})

test('in a service worker the status is how the last round ended', async () => {
  inServiceWorker()
  const server = testSyncServer()
  const { app } = appOf(server)
  const told: string[] = []
  const stop = app.sync.status.subscribe(() => {
    const { status, pending } = app.sync.status.getSnapshot()
    const now = `${status} ${pending}`
    if (told.at(-1) !== now) told.push(now)
  })
  await app.append('todo-1', add('Milk'))
  server.partition('both')
  await app.catchUp({ budget: { maxTime: 20_000 } })
  expect(app.sync.status.getSnapshot()).toMatchObject({ status: 'offline', pending: 1 })
  server.partition()
  await app.catchUp({ budget: { maxTime: 20_000 } })
  expect(app.sync.status.getSnapshot()).toMatchObject({ status: 'idle', pending: 0, cursor: 1 })
  await app.append('todo-2', add('Bread'))
  await app.sync.now()
  expect(app.sync.status.getSnapshot()).toMatchObject({ status: 'idle', pending: 0, cursor: 2 })
  // Its counts are always those of the outbox.
  expect(told).toEqual(['following 1', 'offline 1', 'offline 0', 'idle 0', 'idle 1', 'idle 0'])
  stop()
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

test('N95: once the local store is adopted, an append leaves no timer behind', async () => {
  const server = testSyncServer()
  const pauses: number[] = []
  const clock = { ...virtualClock() }
  const { schedule } = clock
  clock.schedule = (ms, work) => {
    pauses.push(ms)
    return schedule(ms, work)
  }
  inServiceWorker()
  const { app } = appOf(server, { clock, sync: { url: server.url, fetch: server.fetch, adopt: 'local' } })
  await app.ready()
  for (let n = 0; n < 5; n += 1) await app.append(`todo-${n}`, add('Milk'))
  expect(pauses.filter((ms) => ms === 1_000)).toEqual([])
  await app.close()
})

test('a command that is none of those of the app is warned of, once for each definition', async () => {
  const warned = vi.spyOn(console, 'warn').mockImplementation(() => {})
  const adding = (title: string) => ({
    streams: ['todo-1'],
    initial: 0,
    evolve: (count: number) => count + 1,
    decide: () => [{ stream: 'todo-1', ...add(title) }],
  })
  const removing = () => ({ ...adding('none'), decide: () => [] })
  const commands = defineCommands({ adding })
  const server = testSyncServer()
  const { app } = appOf(server, { sync: { url: server.url, fetch: server.fetch, commands } })
  await app.execute(commands.adding('Milk'))
  expect(warned).not.toHaveBeenCalled()
  for (const title of ['Bread', 'Salt']) await app.execute(adding(title))
  expect(warned.mock.calls.map(String)).toEqual([expect.stringContaining('execute(commands.adding(…))')])
  await app.execute(removing())
  expect(warned).toHaveBeenCalledTimes(2)
  await app.execute(defineCommands({ another: adding }).another('Oil'))
  expect(String(warned.mock.calls[2])).toContain("'another'")
  const { app: plain } = appOf(server)
  await plain.execute({ ...adding('Tea'), decide: () => [{ stream: 'todo-1', ...add('Tea') }] })
  expect(warned).toHaveBeenCalledTimes(3)
  for (const one of [app, plain]) await one.close()
  warned.mockRestore()
})
