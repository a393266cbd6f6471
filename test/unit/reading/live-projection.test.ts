// A live projection over a store that the test is.
import { expect, test } from 'vitest'
import { liveProjection, type EventReader, type EventStore } from 'tidemark'
import { virtualClock } from '../../../src/testing/virtual-clock.js'
import { memoryStore, shown, type Event } from '../read-model/support.js'

/** Counts the events of a store whose reads and subscribers the test can see. */
async function counting(count: number) {
  const store = await memoryStore(count)
  const clock = virtualClock()
  const state = { reads: 0, subscribers: 0, tell: (_head: number) => {} }
  const readPage = ((...given) => {
    state.reads += 1
    return store.readPage(...given)
  }) as EventReader<Event>['readPage']
  const subscribe: EventStore<Event>['subscribe'] = (listener) => {
    state.subscribers += 1
    state.tell = listener
    return () => void (state.subscribers -= 1)
  }
  const live = liveProjection<Event, number>(
    { readPage, subscribe },
    { initial: 0, clock, on: { Added: (sum) => sum + 1 } },
  )
  return { store, clock, state, live }
}

test('the last unsubscribe leaves neither timer nor subscription, and the next one goes on from there', async () => {
  const { store, clock, state, live } = await counting(3)
  const stop = live.subscribe(() => {})
  await shown(live, ({ status }) => status === 'ready')
  expect([state.subscribers, clock.pending]).toEqual([1, 1])
  stop()
  expect([state.subscribers, clock.pending]).toEqual([0, 0])
  await store.append({ stream: 's', events: [{ type: 'Added', data: { to: 'a', amount: 1 } }] })
  live.subscribe(() => {})
  expect(await shown(live, (snapshot) => snapshot.status === 'ready' && snapshot.data === 4)).toEqual({
    status: 'ready',
    data: 4,
    stale: false,
    position: 4,
  })
})

test('a head that was folded already is not read again; a new one is, and so is what no one told of', async () => {
  const { clock, state, live } = await counting(3)
  live.subscribe(() => {})
  await shown(live, ({ status }) => status === 'ready')
  const { reads } = state
  state.tell(3)
  await clock.advance(0)
  expect(state.reads).toBe(reads)
  state.tell(4)
  await clock.advance(0)
  expect(state.reads).toBe(reads + 1)
  await clock.advance(5_000)
  expect(state.reads).toBe(reads + 2)
})

test('a log that takes minutes to fold is folded to its end, as long as it gets on', async () => {
  const clock = virtualClock()
  /** Ten pages of 20 s each, in which no event matches. */
  const readPage = (async ({ after = 0 }) => {
    await new Promise<void>((resolve) => void clock.schedule(20_000, resolve))
    return { events: [], scannedTo: after + 1, head: 10 }
  }) as EventReader<Event>['readPage']
  const live = liveProjection<Event, number>(
    { readPage, subscribe: () => () => {} },
    { initial: 0, clock, on: { Added: (sum) => sum + 1 } },
  )
  const states: string[] = []
  live.subscribe(() => states.push(live.getSnapshot().status))
  await clock.advance(300_000)
  expect(live.getSnapshot()).toEqual({ status: 'ready', data: 0, stale: false, position: 10 })
  expect(states).toEqual(['ready'])
})

test('a fold that throws is tried again at the event it threw at, and what came before counts once', async () => {
  const store = await memoryStore(5)
  const clock = virtualClock()
  let broken = true
  const live = liveProjection(store, {
    initial: [] as readonly number[],
    clock,
    on: {
      Added: (seen, { position }) => {
        if (position === 3 && broken) throw new Error('three')
        return [...seen, position]
      },
    },
  })
  live.subscribe(() => {})
  expect(await shown(live, ({ status }) => status === 'error')).toMatchObject({ error: { message: 'three' } })
  broken = false
  await clock.advance(5_000)
  expect(await shown(live, ({ status }) => status === 'ready')).toEqual({
    status: 'ready',
    data: [1, 2, 3, 4, 5],
    stale: false,
    position: 5,
  })
  await store.close()
})
