import { expect, test } from 'vitest'
import { runProjection } from 'tidemark'
import { openEventStore } from 'tidemark/memory'
import { collector } from 'tidemark/testing'

test('P30: a new collector is empty and named; applying adds, and what it kept is read wherever the projector went', async () => {
  const store = await openEventStore({ name: 'collector' })
  const all = collector('all')
  const { events } = all
  expect([all.name, all.filter, events]).toEqual(['all', undefined, []])
  await store.append({
    stream: 's',
    events: [
      { type: 'A', data: 1 },
      { type: 'B', data: 2 },
    ],
  })
  await runProjection(store, { ...all })
  expect(events.map(({ type, data }) => [type, data])).toEqual([
    ['A', 1],
    ['B', 2],
  ])
  await store.append({ stream: 's', events: [{ type: 'A', data: 3 }] })
  await runProjection(store, all)
  expect(events.map(({ position }) => position)).toEqual([1, 2, 3])
  await store.close()
})

test('a collector with a filter is given no other events', async () => {
  const store = await openEventStore({ name: 'collector' })
  await store.append({
    stream: 's',
    events: [
      { type: 'A', data: 1 },
      { type: 'B', data: 2 },
    ],
  })
  const some = collector('some', { types: ['B'] })
  await runProjection(store, some)
  expect(some.events.map(({ type }) => type)).toEqual(['B'])
  await store.close()
})
