// Live queries between commits, rebuilds and lost hints.
import 'fake-indexeddb/auto'
import { expect, test } from 'vitest'
import { defineProjection, openEventStore, openReadModel, runProjection, startProjection, table } from 'tidemark'
import { openEventStore as openMemory } from 'tidemark/memory'
import { events, added, model, newName, wait, type Event } from './small-model.js'

test('a live query sees a commit to a table that it has just begun to read', async () => {
  const store = await openMemory<Event>({ name: newName(), events })
  const definition = defineProjection(events, {
    name: 'two', tables: { flags: table<{ name: string; on: boolean }>({ key: 'name' }), items: table<{ name: string }>({ key: 'name' }) },
    on: { Added: ({ data: { to } }, { flags, items }) => { if (to === 'flag') flags.put({ name: 'x', on: true }); else items.put({ name: to }) } },
  })
  const view = await openReadModel(store, definition)
  let gate: Promise<void> | undefined
  let passed = () => {}
  let reached = false
  const live = view.live(async ({ flags, items }) => {
    if ((await flags.get('x'))?.on !== true) return -1
    const rows = await items.getAll()
    reached = true
    await gate
    return rows.length
  })
  const unsubscribe = live.subscribe(() => {})
  await expect.poll(() => live.getSnapshot()).toMatchObject({ value: -1 })
  gate = new Promise((resolve) => { passed = resolve })
  await store.append({ stream: 's', events: [added('flag')] })
  await runProjection(definition, store)
  await expect.poll(() => reached).toBe(true)
  await store.append({ stream: 's', events: [added('item')] })
  await runProjection(definition, store)
  await wait(50)
  passed()
  await wait(7000)
  const snapshot = live.getSnapshot()
  unsubscribe(); await view.close()
  expect(snapshot).toMatchObject({ value: 1 })
})

test('a replay in another tab whose hint is lost is made up for by the slow poll (H66)', async () => {
  const name = newName()
  const channel = globalThis.BroadcastChannel
  ;(globalThis as { BroadcastChannel?: unknown }).BroadcastChannel = undefined
  const [here, there] = [await openEventStore<Event>({ name, events }), await openEventStore<Event>({ name, events })]
  globalThis.BroadcastChannel = channel
  await there.append({ stream: 's', events: [added('a'), added('b')] })
  let broken = true
  const definition = model({ onError: () => 'park', handler: (e) => { if (broken && e.position === 1) throw new Error('x') } })
  await runProjection(definition, there)
  const view = await openReadModel(here, definition)
  const live = view.live(({ rows }) => rows.count())
  const unsubscribe = live.subscribe(() => {})
  await expect.poll(() => live.getSnapshot()).toMatchObject({ value: 1 })
  broken = false
  const helper = startProjection(definition, there)
  for await (const letter of helper.deadLetters()) await letter.retry()
  await helper.stop()
  await wait(7000)
  const snapshot = live.getSnapshot()
  unsubscribe(); await view.close(); await here.close(); await there.close()
  expect(snapshot).toMatchObject({ value: 2 })
})

test('what one run of a live query reads belongs to one commit, also across the end of a rebuild', async () => {
  const store = await openMemory<Event>({ name: newName(), events })
  let factor = 1
  let gate: Promise<void> | undefined
  let held = false
  const definition = defineProjection(events, {
    name: 'pair', tables: { left: table<{ name: string; n: number }>({ key: 'name' }), right: table<{ name: string; n: number }>({ key: 'name' }) },
    on: { Added: async ({ data: { to } }, { left, right }) => { held = gate !== undefined; await gate; left.put({ name: to, n: factor }); right.put({ name: to, n: factor }) } },
  })
  await store.append({ stream: 's', events: [added('a')] })
  const helper = startProjection(definition, store)
  await helper.caughtUp(1)
  const view = await openReadModel(store, definition)
  factor = 2
  let open = () => {}
  gate = new Promise((resolve) => { open = resolve })
  await helper.rebuild()
  await expect.poll(() => held).toBe(true)
  const shown: unknown[] = []
  const live = view.live(async ({ left, right }) => {
    const l = (await left.get('a'))?.n
    open()
    await wait(100)
    return [l, (await right.get('a'))?.n]
  })
  const unsubscribe = live.subscribe(() => { const s = live.getSnapshot(); if (s.state === 'ready') shown.push(s.value) })
  await wait(600)
  unsubscribe(); await helper.stop(); await view.close()
  expect(shown).not.toContainEqual([1, 2])
})

test('a live query over a row that contains itself', async () => {
  const store = await openMemory<Event>({ name: newName(), events })
  const definition = defineProjection(events, {
    name: 'cycle', tables: { rows: table<{ name: string; self?: unknown }>({ key: 'name' }) },
    on: { Added: (_e, { rows }) => { const part: { me?: unknown } = {}; part.me = part; rows.put({ name: 'a', self: part }) } },
  })
  await store.append({ stream: 's', events: [added()] })
  await runProjection(definition, store)
  const view = await openReadModel(store, definition)
  const live = view.live(({ rows }) => rows.getAll())
  const unsubscribe = live.subscribe(() => {})
  await expect.poll(() => live.getSnapshot().state).toBe('ready')
  await store.append({ stream: 's', events: [added()] })
  await runProjection(definition, store)
  await wait(100)
  const { state } = live.getSnapshot()
  unsubscribe(); await view.close()
  expect(state).toBe('ready')
})

test('subscribing to a live query of a closed view leaves no listener', async () => {
  const store = await openMemory<Event>({ name: newName(), events })
  const view = await openReadModel(store, model())
  const live = view.live(({ rows }) => rows.getAll())
  await view.close()
  let threw = false
  try { live.subscribe(() => {})() } catch { threw = true }
  expect(threw).toBe(false)
})
