// Listeners are told in rounds, wherever there is a set of them.
import { afterEach, describe, expect, test, vi } from 'vitest'
import { openEventStore } from 'tidemark/memory'
import { headWatch } from '../../../src/log/head-watch.js'
import { systemClock } from '../../../src/platform/clock.js'
import { listenerSet } from '../../../src/platform/listeners.js'
import { pageLifecycle } from '../../../src/platform/page-lifecycle.js'
import { openSignals } from '../../../src/platform/signals.js'
import { liveQuery } from '../../../src/reading/live-query.js'
import { StatusKeeper } from '../../../src/running/status-keeper.js'
import { fakePage } from '../read-model/support.js'

afterEach(() => {
  vi.unstubAllGlobals()
  vi.restoreAllMocks()
})

/** Something to subscribe to, and what makes a round. */
interface Place {
  readonly name: string
  make(): { subscribe(listener: () => void): () => void; round(): Promise<unknown> | void }
}
const soon = () => new Promise((resolve) => setTimeout(resolve))
const places: readonly Place[] = [
  {
    name: 'the helper',
    make() {
      const set = listenerSet()
      return { subscribe: (listener) => set.add(listener), round: () => set.tell() }
    },
  },
  {
    name: 'a live query',
    make() {
      let data = 0
      let changed = () => {}
      const live = liveQuery<number>(
        {
          evaluate: async () => ({ data, position: 0 }),
          end: () => undefined,
          watch(told) {
            changed = told
            return () => {}
          },
        },
        systemClock,
      )
      return {
        subscribe: live.subscribe,
        async round() {
          await soon()
          data += 1
          changed()
          await soon()
        },
      }
    },
  },
  {
    name: 'a status',
    make() {
      const status = new StatusKeeper(systemClock, 'p')
      let head = 0
      return { subscribe: status.subscribe, round: () => status.set({ head: (head += 1) }) }
    },
  },
  {
    name: 'signals of one instance',
    make() {
      const signals = openSignals()
      return {
        subscribe: (listener) => signals.listen(listener),
        round() {
          signals.post({ kind: 'head', head: 1 })
          return soon()
        },
      }
    },
  },
  {
    name: 'the head watch',
    make() {
      const watch = headWatch(systemClock, async () => 0)
      let head = 0
      return { subscribe: (listener) => watch.subscribe(listener), round: () => watch.saw((head += 1)) }
    },
  },
  {
    name: 'the life of a page',
    make() {
      const page = fakePage()
      const lifecycle = pageLifecycle()
      if (lifecycle === undefined) throw new Error('This is no page')
      return { subscribe: (listener) => lifecycle.subscribe(listener), round: () => page.resume() }
    },
  },
  {
    name: 'an event store',
    make() {
      const store = openEventStore({ name: 'listeners' })
      return {
        subscribe(listener) {
          let stop: (() => void) | undefined
          let stopped = false
          void store.then((opened) => (stop = stopped ? undefined : opened.subscribe(listener)))
          return () => {
            stopped = true
            stop?.()
          }
        },
        async round() {
          await (await store).append({ stream: 's', events: [{ type: 'Any', data: null }] })
          await soon()
        },
      }
    },
  },
]

describe.each(places)('$name', ({ make }) => {
  test('does not call a listener that another one of the same round unsubscribed', async () => {
    const { subscribe, round } = make()
    await soon()
    const called: string[] = []
    const stopFirst = subscribe(() => {
      called.push('first')
      stopSecond()
    })
    const stopSecond = subscribe(() => void called.push('second'))
    const stopThird = subscribe(() => void called.push('third'))
    await soon()
    called.length = 0
    await round()
    expect(called).toEqual(['first', 'third'])
    stopFirst()
    stopThird()
  })

  test('calls a listener that was added during a round from the next one on', async () => {
    const { subscribe, round } = make()
    await soon()
    const called: string[] = []
    let armed = false
    const stops: (() => void)[] = [
      subscribe(() => {
        called.push('first')
        if (armed && stops.length === 1) stops.push(subscribe(() => void called.push('added')))
      }),
    ]
    await soon()
    called.length = 0
    armed = true
    await round()
    expect(called).toEqual(['first'])
    called.length = 0
    await round()
    expect(called).toEqual(['first', 'added'])
    for (const stop of stops) stop()
  })

  test('reports what a listener throws, and calls the others', async () => {
    const { subscribe, round } = make()
    await soon()
    const report = vi.spyOn(console, 'error').mockImplementation(() => {})
    vi.stubGlobal('reportError', undefined)
    const called: string[] = []
    const failing = () => {
      throw new Error('of the app')
    }
    const stops = [subscribe(failing), subscribe(() => void called.push('second'))]
    await soon()
    report.mockClear()
    called.length = 0
    await round()
    expect([called, report.mock.calls]).toEqual([['second'], [[new Error('of the app')]]])
    for (const stop of stops) stop()
  })

  test('takes the same function twice for two listeners, each removed once', async () => {
    const { subscribe, round } = make()
    await soon()
    let called = 0
    const listener = () => void (called += 1)
    const [stopOne, stopOther] = [subscribe(listener), subscribe(listener)]
    await soon()
    called = 0
    await round()
    expect(called).toBe(2)
    stopOne()
    stopOne()
    await round()
    expect(called).toBe(3)
    stopOther()
    await round()
    expect(called).toBe(3)
  })
})

test('an end in the middle of a round ends the round', () => {
  const watch = headWatch(systemClock, async () => 0)
  const called: string[] = []
  watch.subscribe(() => {
    called.push('first')
    watch.stop()
  })
  watch.subscribe(() => void called.push('second'))
  watch.saw(1)
  expect(called).toEqual(['first'])
})
