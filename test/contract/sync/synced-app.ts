/** `tidemark()` of `tidemark/sync`: what an app that syncs does on every backend, against a server in memory. */
import { describe, expect, test, vi } from 'vitest'
import {
  defineCommand,
  defineEvents,
  defineProjection,
  deleteEventStore,
  deleteReadModel,
  openEventStore,
  refuse,
  table,
  tidemark as localTidemark,
} from 'tidemark'
import { defineCommands, SyncRefusedError, tidemark, type AppSyncOptions, type SyncedAppOptions } from 'tidemark/sync'
import { openSyncedStore as openInMemory } from 'tidemark/memory'
import { testSyncServer, type TestSyncServer } from 'tidemark/testing'
import { heldClock } from '../../support/held-clock.js'

type TodoEvent = { type: 'TodoAdded'; data: { title: string } } | { type: 'TodoDone'; data: null }
const events = defineEvents<TodoEvent>()
const todos = defineProjection(events, {
  name: 'todos',
  tables: { items: table<{ id: string; title: string }>({ key: 'id' }) },
  on: {
    TodoAdded: ({ stream, data }, { items }) => items.put({ id: stream, title: data.title }),
    TodoDone: ({ stream }, { items }) => items.delete(stream),
  },
})
const commands = defineCommands({
  addOnce: defineCommand(events, (stream: string, title: string) => ({
    streams: [stream],
    initial: 0,
    evolve: (count) => count + 1,
    decide: (count) => (count > 0 ? refuse('there already') : [{ stream, type: 'TodoAdded', data: { title } }]),
  })),
})
const added = (title: string) => events.TodoAdded({ title })

export interface SyncedAppBackend {
  readonly name: string
  /** @default that of an app */
  readonly open?: SyncedAppOptions<TodoEvent>['open']
}

let names = 0

/** Resolves once a value is as it should be; `changes` calls back when it may be. */
function until(isSo: () => boolean, changes: (listener: () => void) => () => void): Promise<void> {
  return new Promise((resolve) => {
    const look = () => {
      if (!isSo()) return
      stop()
      resolve()
    }
    const stop = changes(look)
    queueMicrotask(look)
  })
}

export function syncedAppContract({ name: backend, open }: SyncedAppBackend): void {
  /** An app of a device of its own. */
  const appOf = (
    server: Pick<TestSyncServer, 'url' | 'fetch'>,
    more: Partial<SyncedAppOptions<TodoEvent>> = {},
    sync: Partial<AppSyncOptions<TodoEvent>> = {},
  ) =>
    tidemark({
      name: `synced-${(names += 1)}-${crypto.randomUUID()}`,
      events,
      models: { todos },
      ...(open !== undefined && { open }),
      ...more,
      sync: { url: server.url, fetch: server.fetch, commands, ...sync },
    })

  describe(`${backend}: an app that syncs`, () => {
    test('what one device appends comes to the rows of another', async () => {
      const server = testSyncServer()
      const [one, other] = [appOf(server), appOf(server)]
      const rows = other.todos.items.live()
      const stop = rows.subscribe(() => {})
      const { commit } = await one.append('todo-1', added('Milk'), { until: 'confirmed' })
      expect(commit).toMatchObject({ status: 'confirmed', position: 1 })
      await other.sync.now()
      await until(() => rows.getSnapshot().data?.length === 1, rows.subscribe)
      expect(rows.getSnapshot()).toMatchObject({ data: [{ id: 'todo-1', title: 'Milk' }] })
      stop()
      await Promise.all([one.close(), other.close()])
    })

    test('without a server it stores, says what is pending, and sends it later', async () => {
      const server = testSyncServer()
      server.partition('both')
      const app = appOf(server)
      const result = await app.append('todo-1', added('Milk'))
      expect(result.commit).toMatchObject({ status: 'pending' })
      expect(await app.sync.outbox()).toMatchObject([
        { id: result.commit?.id, status: 'pending', events: [{ data: { title: 'Milk' } }] },
      ])
      await app.sync.now()
      const { status } = app.sync
      await until(() => status.getSnapshot().status === 'offline', status.subscribe)
      expect(status.getSnapshot()).toMatchObject({ pending: 1, refused: 0 })
      server.partition()
      await app.sync.now()
      expect((await result.commit?.settled())?.status).toBe('confirmed')
      expect(await app.sync.outbox()).toEqual([])
      expect(await app.sync.ownCommit(result.commit?.id ?? '')).toMatchObject({ status: 'confirmed', position: 1 })
      await app.close()
      expect(status.getSnapshot().status).toBe('stopped')
    })

    test("until: 'visible' needs no server; what is not confirmed is marked, and the mark goes", async () => {
      // No time passes, so that no wait ends because it took too long: what is visible is what is shown.
      const clock = heldClock()
      const server = testSyncServer()
      server.partition('both')
      const app = appOf(server, { clock })
      const rows = app.todos.items.live()
      const stop = rows.subscribe(() => {})
      await rows.ready()
      const result = await app.append('todo-1', added('Milk'), { until: 'visible' })
      expect(result.visible).toBe(true)
      expect(rows.getSnapshot()).toMatchObject({ data: [{ title: 'Milk' }], pending: true })
      const executed = await app.execute(commands.addOnce('todo-2', 'Bread'), { until: 'visible' })
      expect(executed).toMatchObject({ type: 'accepted', visible: true })
      expect(rows.getSnapshot().data).toHaveLength(2)
      clock.release()
      server.partition()
      await app.sync.now()
      await until(() => rows.getSnapshot().pending === undefined, rows.subscribe)
      expect(rows.getSnapshot()).toMatchObject({ status: 'ready', data: [{ title: 'Milk' }, { title: 'Bread' }] })
      stop()
      await app.close()
    })

    test('each row says whether it is pending: added, changed and deleted ones, until the server has them', async () => {
      const server = testSyncServer()
      const app = appOf(server)
      await app.append('todo-1', added('Milk'), { until: 'confirmed' })
      await app.append('todo-2', added('Bread'), { until: 'confirmed' })
      const { items } = app.todos
      const marks = items.livePendingKeys()
      expect(items.livePendingKeys()).toBe(marks)
      expect(app.models.todos.tables.items.livePendingKeys()).toBe(marks)
      const stop = marks.subscribe(() => {})
      const are = (...keys: readonly string[]) =>
        until(() => String([...(marks.getSnapshot().data ?? ['?'])].sort()) === String(keys), marks.subscribe)
      await are()
      server.partition('both')
      await app.append('todo-3', added('Salt'), { until: 'visible' })
      await app.append('todo-1', added('Oat milk'), { until: 'visible' })
      expect([...(await items.pendingKeys())].sort()).toEqual(['todo-1', 'todo-3'])
      await are('todo-1', 'todo-3')
      const { commit } = await app.append('todo-2', events.TodoDone(null), { until: 'visible' })
      await are('todo-1', 'todo-2', 'todo-3')
      expect(await items.get('todo-2')).toBeUndefined()
      await commit?.discard()
      await are('todo-1', 'todo-3')
      server.partition()
      await app.sync.now()
      await are()
      expect(await items.pendingKeys()).toEqual([])
      expect(await items.getAll()).toMatchObject([{ title: 'Oat milk' }, { title: 'Bread' }, { title: 'Salt' }])
      stop()
      await app.close()
      await expect(items.pendingKeys()).rejects.toMatchObject({ code: 'closed' })
    })

    test('a refused commit rejects what waits for it, is listed with its reason, and can be retried or discarded', async () => {
      const server = testSyncServer()
      server.refuse(() => ({ code: 'no-milk', message: 'We have enough.' }))
      const app = appOf(server)
      const list = app.sync.liveRefused()
      expect(app.sync.liveRefused()).toBe(list)
      const stop = list.subscribe(() => {})
      const refused = app.append('todo-1', added('Milk'), { until: 'confirmed' })
      await expect(refused).rejects.toBeInstanceOf(SyncRefusedError)
      await expect(refused).rejects.toMatchObject({
        code: 'sync-refused',
        refusal: { code: 'no-milk', message: 'We have enough.' },
      })
      await app.append('todo-2', added('Bread'), { until: 'confirmed' }).catch(() => {})
      await until(() => list.getSnapshot().data?.length === 2, list.subscribe)
      const [milk, bread] = list.getSnapshot().data ?? []
      expect(milk).toMatchObject({ status: 'refused', refusal: { code: 'no-milk' }, events: [{ stream: 'todo-1' }] })
      await bread?.discard()
      await until(() => list.getSnapshot().data?.length === 1, list.subscribe)
      // What says the same is the same object.
      expect(list.getSnapshot().data?.[0]).toBe(milk)
      server.refuse()
      const again = await milk?.retry()
      await until(() => list.getSnapshot().data?.length === 0, list.subscribe)
      // Nothing asks for that: what is to be sent again is sent immediately.
      expect(await again?.settled()).toMatchObject({ status: 'confirmed' })
      expect((await server.log()).map(({ stream }) => stream)).toEqual(['todo-1'])
      stop()
      await app.close()
    })

    test('a wait for the server ends with its signal, and what was appended is still sent', async () => {
      const server = testSyncServer()
      server.partition('both')
      const app = appOf(server)
      const leaving = new AbortController()
      const waiting = app.append('todo-1', added('Milk'), { until: 'confirmed', signal: leaving.signal })
      await until(() => app.sync.status.getSnapshot().pending === 1, app.sync.status.subscribe)
      leaving.abort(new Error('enough'))
      await expect(waiting).rejects.toThrow('enough')
      server.partition()
      await app.sync.now()
      expect(await server.log()).toHaveLength(1)
      await app.close()
    })

    test('a command waits as well, and one that is decided again and refuses then rejects', async () => {
      const server = testSyncServer()
      const app = appOf(server)
      const first = await app.execute(commands.addOnce('todo-1', 'Milk'), { until: 'confirmed' })
      expect(first).toMatchObject({ type: 'accepted', commit: { status: 'confirmed', position: 1 } })
      expect(await app.execute(commands.addOnce('todo-1', 'Milk'), { until: 'confirmed' })).toMatchObject({
        type: 'refused',
        reason: 'there already',
      })
      server.partition('both')
      const late = app.execute(commands.addOnce('todo-2', 'Bread'), { until: 'confirmed' })
      late.catch(() => {})
      await until(() => app.sync.status.getSnapshot().pending === 1, app.sync.status.subscribe)
      // Another device comes first.
      await server.append([{ stream: 'todo-2', type: 'TodoAdded', data: { title: 'Rye' } }])
      server.partition()
      await app.sync.now()
      await expect(late).rejects.toMatchObject({ code: 'sync-refused', refusal: { code: 'command-refused' } })
      await app.close()
    })

    test('another user has another store and another log, and what the former one did stays', async () => {
      const servers = { anna: testSyncServer(), bert: testSyncServer() }
      let user: keyof typeof servers = 'anna'
      const id = crypto.randomUUID()
      const asked: string[] = []
      const fetch: typeof globalThis.fetch = (input, init) => {
        const { url } = input instanceof Request ? input : { url: String(input) }
        const author = new Headers(input instanceof Request ? input.headers : init?.headers).get('authorization')
        asked.push(`${new URL(url).hostname} ${author}`)
        return servers[url.includes('anna') ? 'anna' : 'bert'].fetch(url.replace(/https:\/\/\w+/, 'https://sync'), init)
      }
      const app = appOf(
        servers.anna,
        { name: () => `${id}-${user}` },
        {
          url: () => servers[user].url.replace('sync', user),
          headers: () => ({ authorization: `Bearer ${user}` }),
          fetch,
        },
      )
      servers.anna.partition('both')
      await app.append('todo-1', added('Milk'))
      expect(await app.sync.outbox()).toHaveLength(1)
      user = 'bert'
      const store = await app.reopen()
      expect(await store.outbox()).toEqual([])
      await app.append('todo-2', added('Bread'), { until: 'confirmed' })
      expect([(await servers.anna.log()).length, (await servers.bert.log()).length]).toEqual([0, 1])
      if (open === undefined) {
        servers.anna.partition()
        user = 'anna'
        await app.reopen()
        await app.sync.now()
        expect((await servers.anna.log()).map(({ stream }) => stream)).toEqual(['todo-1'])
      }
      expect(asked.filter((each) => !/^(anna\.test Bearer anna|bert\.test Bearer bert)$/.test(each))).toEqual([])
      await app.close()
    })

    test('with a model at definition-changed, the store opens, sends, and the rows can be deleted', async () => {
      if (open !== undefined) return
      const server = testSyncServer()
      const name = `synced-${crypto.randomUUID()}`
      const before = appOf(server, { name })
      await before.append('todo-1', added('Milk'), { until: 'visible' })
      await before.close()
      const changed = defineProjection(events, {
        name: 'todos',
        tables: { items: table<{ id: string; title: string }>()({ key: 'id', indexes: { byTitle: 'title' } }) },
        on: {
          TodoAdded: ({ stream, data }, { items }) => items.put({ id: stream, title: data.title }),
          TodoDone: ({ stream }, { items }) => items.delete(stream),
        },
      })
      const edited = (onError: (error: unknown) => void) =>
        tidemark({
          name,
          events,
          models: { todos: changed },
          onError,
          sync: { url: server.url, fetch: server.fetch, commands },
        })
      const app = edited(() => {})
      await expect(app.todos.items.count()).rejects.toMatchObject({ code: 'definition-changed' })
      await app.append('todo-2', added('Bread'), { until: 'confirmed' })
      const store = await app.ready()
      await deleteReadModel(store, changed)
      await app.close()
      const errors: unknown[] = []
      const again = edited((error) => errors.push(error))
      await again.append('todo-1', events.TodoDone(null), { until: 'visible' })
      expect(await again.todos.items.getAll()).toEqual([{ id: 'todo-2', title: 'Bread' }])
      expect(errors).toEqual([])
      await again.close()
    })

    test('paused, it sends nothing until it is resumed', async () => {
      const server = testSyncServer()
      const app = appOf(server)
      await app.sync.pause()
      await app.append('todo-1', added('Milk'))
      expect(await app.sync.now()).toMatchObject({ status: 'paused', reason: 'by-hand', pending: 1 })
      expect(await server.log()).toEqual([])
      await app.sync.resume()
      await app.sync.now()
      expect(await server.log()).toHaveLength(1)
      await app.close()
    })

    test('nothing happens before the first use, and snapshots on a server are constant', async () => {
      const server = testSyncServer()
      const opening = vi.fn<NonNullable<typeof open>>()
      const app = appOf(server, { open: opening })
      expect(app.sync.status.getSnapshot()).toMatchObject({ status: 'following', pending: 0 })
      expect(app.sync.status.getServerSnapshot()).toBe(app.sync.status.getSnapshot())
      expect(app.sync.liveOutbox().getSnapshot().status).toBe('loading')
      expect([opening.mock.calls.length, server.requests.length]).toEqual([0, 0])
      await app.close()
    })

    test('a local store that the app names is adopted by the first user, created for no one, and not taken into memory', async () => {
      const server = testSyncServer()
      const adopt = `local-${crypto.randomUUID()}`
      const without = appOf(server, {}, { adopt })
      expect(await (await without.ready()).outbox()).toEqual([])
      await without.close()
      const local = await openEventStore({ name: adopt, events })
      expect(await local.head()).toBe(0)
      for (let n = 0; n < 20; n += 1) await local.append({ stream: `todo-${n}`, events: [added(`Todo ${n}`)] })
      await local.close()
      server.partition('both')
      if (open !== undefined) {
        // What is on the device would be lost with the page.
        const onError = vi.fn<(error: unknown) => void>()
        const inMemory = appOf(server, { onError }, { adopt })
        await expect(inMemory.ready()).rejects.toMatchObject({ code: 'invalid-argument' })
        await expect(inMemory.append('todo-20', added('Todo 20'))).rejects.toMatchObject({ code: 'invalid-argument' })
        expect(onError.mock.calls[0]).toMatchObject([{ code: 'invalid-argument' }])
        expect(await inMemory.sync.outbox()).toEqual([])
        await inMemory.close()
        const kept = await openEventStore({ name: adopt, events })
        expect(await kept.head()).toBe(20)
        await kept.append('todo-21', added('Todo 21'))
        await kept.close()
        await deleteEventStore(adopt)
        return
      }
      const anna = appOf(server, {}, { adopt: () => adopt })
      const [{ commit }] = await Promise.all([anna.append('todo-20', added('Todo 20')), anna.ready()])
      const outbox = await anna.sync.outbox()
      expect(outbox.slice(0, 20).map(({ events: [event] }) => event?.stream)).toEqual(
        Array.from({ length: 20 }, (_, n) => `todo-${n}`),
      )
      expect(outbox.at(-1)?.id).toBe(commit?.id)
      expect(outbox).toHaveLength(21)
      expect(await anna.todos.items.getAll()).toHaveLength(21)
      server.partition()
      await anna.sync.now()
      await commit?.settled()
      expect(await server.log()).toHaveLength(21)
      await anna.close()
      const bert = appOf(testSyncServer(), {}, { adopt })
      expect(await (await bert.ready()).outbox()).toEqual([])
      await bert.close()
      // Nothing of it is left that could be lost.
      const inMemory = appOf(testSyncServer(), { open: openInMemory }, { adopt })
      expect(await (await inMemory.ready()).outbox()).toEqual([])
      await inMemory.close()
      await deleteEventStore(adopt)
    })

    test('an adoption that fails is told, keeps appends waiting, and is tried again', async () => {
      if (open !== undefined) return
      const adopt = `local-${crypto.randomUUID()}`
      const local = await openEventStore({ name: adopt, events })
      await local.append({ stream: 'big', events: Array.from({ length: 1001 }, () => added('x')) })
      const onError = vi.fn<(error: unknown) => void>()
      const app = appOf(testSyncServer(), { onError }, { adopt })
      await expect(app.append('todo-1', added('Milk'))).rejects.toMatchObject({ code: 'invalid-event' })
      await expect(app.ready()).rejects.toMatchObject({ code: 'invalid-event' })
      expect(onError.mock.calls[0]).toMatchObject([{ code: 'invalid-event' }])
      expect(await app.sync.outbox()).toEqual([])
      await app.close()
      await local.close()
      await deleteEventStore(adopt)
    })

    test('wrong options are refused, and the app without sync names the right import', async () => {
      const server = testSyncServer()
      const options = { name: 'wrong', events, models: { todos } }
      const wrong = (sync: unknown) => () => tidemark({ ...options, sync: sync as AppSyncOptions<TodoEvent> })
      for (const sync of [
        undefined,
        {},
        { url: '' },
        { url: 7 },
        { url: 'nonsense' },
        { url: './logs/7' },
        { url: 'ftp://sync.test/logs/7' },
        { url: 'https://' },
        { url: 'https://anna:secret@sync.test/logs/7' },
        { url: 'https://sync.test/logs/7#now' },
        { url: '/u', wake: 'pigeon' },
        { url: '/u', headers: 'h' },
        { url: '/u', headers: { 'not a name': 'x' } },
        { url: '/u', fetch: 1 },
        { url: '/u', commands: [] },
        { url: '/u', adress: 1 },
        { url: '/u', adopt: 7 },
        { url: '/u', adopt: null },
      ])
        expect(wrong(sync)).toThrow(expect.objectContaining({ code: 'invalid-argument' }))
      expect(() => localTidemark({ ...options, sync: { url: server.url } } as never)).toThrow(/tidemark\/sync/)
      const app = appOf(server)
      await expect(app.append('todo-1', added('Milk'), { until: 'sent' as never })).rejects.toMatchObject({
        code: 'invalid-argument',
      })
      expect(() => tidemark({ ...options, models: { sync: todos } as never, sync: { url: '/u' } })).toThrow(
        /reserved|'sync'/,
      )
      await app.close()
    })
  })
}
