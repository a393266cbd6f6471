// Where there is no IndexedDB, as on a server: nothing starts, and nothing waits for ever.
import { expect, test, vi } from 'vitest'
import { defineEvents, defineProjection, table, tidemark } from 'tidemark'
import { openEventStore } from 'tidemark/memory'

const events = defineEvents<{ type: 'Added'; data: null }>()
const model = defineProjection(events, {
  name: 'model',
  tables: { rows: table<{ id: string }>({ key: 'id' }) },
  on: { Added: ({ id }, { rows }) => rows.put({ id }) },
})

test('snapshots are loading, and every promise rejects with storage-unavailable', async () => {
  expect(globalThis.indexedDB).toBeUndefined()
  const errors: unknown[] = []
  const name = vi.fn(() => 'shop')
  const shop = tidemark({ name, events, models: { model }, onError: (error) => errors.push(error) })
  const live = shop.model.rows.live()
  const unavailable = { code: 'storage-unavailable' }
  const calls: Record<string, () => unknown> = {
    append: () => shop.append('s', events.Added(null)),
    visible: () => shop.append('s', events.Added(null), { until: 'visible' }),
    execute: () => shop.execute({ streams: ['s'], initial: 0, evolve: (state) => state, decide: () => [] }),
    head: () => shop.head(),
    read: async () => {
      for await (const _ of shop.read());
    },
    readStream: async () => {
      for await (const _ of shop.readStream('s'));
    },
    ready: () => shop.ready(),
    reopen: () => shop.reopen(),
    catchUp: () => shop.catchUp(),
    'ready of a live query': () => live.ready(),
    get: () => shop.model.rows.get('x'),
    position: () => shop.model.position(),
    caughtUp: () => shop.model.caughtUp(1),
    rebuild: () => shop.model.rebuild(),
    'dead letters': async () => {
      for await (const _ of shop.model.deadLetters());
    },
  }
  for (const [what, call] of Object.entries(calls)) await expect(call(), what).rejects.toMatchObject(unavailable)
  expect(errors).toEqual([])
  const stop = live.subscribe(() => {})
  const stopStatus = shop.status.subscribe(() => {})
  await new Promise((resolve) => setTimeout(resolve, 0))
  expect(errors).toMatchObject([unavailable])
  expect(live.getSnapshot()).toBe(live.getServerSnapshot())
  expect(shop.status.getSnapshot()).toBe(shop.status.getServerSnapshot())
  expect(name).not.toHaveBeenCalled()
  stop()
  stopStatus()
  await shop.close()
})

test('with the store of tidemark/memory everything works there', async () => {
  const shop = tidemark({ name: 'shop', events, models: { model }, open: openEventStore })
  expect(await shop.append('s', events.Added(null), { until: 'visible' })).toMatchObject({ visible: true })
  expect(await shop.model.rows.count()).toBe(1)
  await shop.close()
})

test('in a service worker nothing runs, unless the app says so', async () => {
  vi.stubGlobal('ServiceWorkerGlobalScope', class {})
  try {
    const shop = tidemark({ name: 'shop', events, models: { model }, open: openEventStore })
    await shop.append('s', events.Added(null))
    await shop.ready()
    expect(shop.model.status.getSnapshot()).toMatchObject({ leader: false })
    await shop.catchUp({ budget: { maxTime: 5_000 } })
    expect(await shop.model.rows.count()).toBe(1)
    await shop.close()
    const running = tidemark({ name: 'shop', events, models: { model }, open: openEventStore, run: true })
    expect(await running.append('s', events.Added(null), { until: 'visible' })).toMatchObject({ visible: true })
    expect(running.model.status.getSnapshot()).toMatchObject({ leader: true })
    await running.close()
  } finally {
    vi.unstubAllGlobals()
  }
})
