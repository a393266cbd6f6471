// After a deploy that added a type, or split one, tabs of two builds work on the same streams.
import { defineCommand, defineEvents, execute, openEventStore, refuse, runProjection } from 'tidemark'
import { openEventStore as openInMemory } from 'tidemark/memory'
import { expect, onTestFinished, test } from 'vitest'
import { newName } from '../read-model/support.js'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'

fakeIndexedDB()

const older = defineEvents({ OrderPlaced: {}, OrderShipped: {}, OrderCancelled: {} })
const newer = defineEvents({ OrderPlaced: {}, OrderHandedOver: {}, OrderCancelled: {} })

const cancel = (found: string[] = []) =>
  defineCommand(older, (stream: string, ...more: string[]) => ({
    streams: [stream],
    initial: false,
    evolve: (shipped, { type }) => shipped || type === 'OrderShipped',
    discover: () => (found.push(stream), more),
    decide: (shipped) => (shipped ? refuse('shipped') : [{ stream, type: 'OrderCancelled', data: null }]),
  }))

async function order() {
  const name = newName()
  const store = await openEventStore({ name, events: older })
  const next = await openEventStore({ name, events: newer })
  onTestFinished(async () => {
    await store.close()
    await next.close()
  })
  await store.append('order', older.OrderPlaced(null))
  return { name, store, next }
}

test('N110: a command does not decide over an event of a type that this build does not know', async () => {
  const { store, next } = await order()
  await next.append('order', newer.OrderHandedOver(null))
  await expect(execute(store, cancel()('order'))).rejects.toMatchObject({
    code: 'event-unreadable',
    newer: true,
    position: 2,
    message: expect.stringMatching(/'OrderHandedOver'.*reload the page.*keep its definition/),
  })
  expect(await store.head()).toBe(2)
  // Others may read it: projections, which name the types that they need, and who reads by hand.
  const seen: string[] = []
  await runProjection(store, { name: 'all', apply: ({ type }) => void seen.push(type) })
  for await (const { type } of store.readStream('order')) seen.push(type)
  expect(seen).toEqual(['OrderPlaced', 'OrderHandedOver', 'OrderPlaced', 'OrderHandedOver'])
})

test('N110: nor over one in a stream that it discovers', async () => {
  const { store, next } = await order()
  await next.append('parcel', newer.OrderHandedOver(null))
  const found: string[] = []
  await expect(execute(store, cancel(found)('order', 'parcel'))).rejects.toMatchObject({ newer: true, position: 2 })
  expect(found).toEqual(['order'])
})

test('N110: what comes while it decides is a conflict, and stops the next attempt', async () => {
  const { store, next } = await order()
  const late = {
    ...store,
    append: (async (...given: [never]) => {
      await next.append('order', newer.OrderHandedOver(null))
      return store.append(...given)
    }) as typeof store.append,
  }
  await expect(execute(late, cancel()('order'))).rejects.toMatchObject({ code: 'event-unreadable', newer: true })
  expect(await store.head()).toBe(2)
})

test('N110: other streams are decided, and so is this one by a build that has the type', async () => {
  const { name, store, next } = await order()
  await next.append('order', newer.OrderHandedOver(null))
  await store.append('another', older.OrderPlaced(null))
  expect(await execute(store, cancel()('another'))).toMatchObject({ type: 'accepted' })
  const both = await openEventStore({
    name,
    events: defineEvents({ OrderPlaced: {}, OrderHandedOver: {}, OrderCancelled: {} }),
  })
  onTestFinished(() => both.close())
  expect(await execute(both, cancel()('order') as never)).toMatchObject({ type: 'accepted' })
})

test.for([
  ['of types only', defineEvents<{ type: 'OrderPlaced'; data: null }>()],
  ['that is missing', undefined],
] as const)('N110: a catalogue %s has no list of types: any event may come', async ([, events]) => {
  const store = await openInMemory({ name: newName(), ...(events && { events }) } as { name: string })
  await store.append('order', { type: 'OrderHandedOver', data: null })
  expect(await execute(store, cancel()('order') as never)).toMatchObject({ type: 'accepted' })
})
