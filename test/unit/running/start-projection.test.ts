// A handle in trouble: storages that hang, handlers that stop, batches that end.
import { describe, expect, test } from 'vitest'
import { openEventStore as openMemoryEventStore } from 'tidemark/memory'
import { runProjection, startProjection, type ProjectionReport } from 'tidemark'
import { stopGrace } from '../../../src/projection/leadership.js'
import { sleep } from '../../../src/platform/clock.js'
import { virtualClock } from '../../../src/testing/virtual-clock.js'
import {
  added,
  codeOf,
  gate,
  lettersOf,
  listener,
  memoryStore,
  model,
  newName,
  plain,
  poison,
  shown,
} from '../read-model/support.js'

/** A plain projection of three events that set the second one aside, until its handler is mended. */
async function withLetter() {
  const clock = virtualClock()
  const store = await memoryStore(3)
  const seen: number[] = []
  let broken = true
  const projection = startProjection(
    store,
    plain(
      ({ position }) => {
        if (broken && position === 2) poison()
        seen.push(position)
      },
      () => 'park',
    ),
    { clock },
  )
  await clock.runUntil(projection.caughtUp(3))
  return { clock, projection, seen, mend: () => void (broken = false) }
}

describe('a plain projector', () => {
  test('that failed for good stays stopped until resume, skip or rebuild', async () => {
    const clock = virtualClock()
    const store = await memoryStore(3)
    let calls = 0
    const projection = startProjection(
      store,
      plain(() => {
        calls += 1
        poison()
      }),
      { clock },
    )
    await clock.advance(60_000)
    expect(projection.status.getSnapshot().phase).toBe('faulted')
    expect(calls).toBe(1)
    await clock.runUntil(projection.stop())
  })

  test('skips no event but the one it stands at', async () => {
    const clock = virtualClock()
    const store = await memoryStore(50)
    const seen: number[] = []
    const projection = startProjection(
      store,
      plain(({ position }) => {
        if (position === 5) poison()
        seen.push(position)
      }),
      { clock },
    )
    await clock.advance(100)
    expect(projection.status.getSnapshot().phase).toBe('faulted')
    expect(await clock.runUntil(codeOf(projection.skip(40)))).toBe('invalid-argument')
    await clock.advance(5_000)
    expect(seen).toEqual([1, 2, 3, 4])
    await clock.runUntil(projection.stop())
  })

  test('refuses to skip beyond the head', async () => {
    const clock = virtualClock()
    const store = await memoryStore(1)
    const projection = startProjection(
      store,
      plain(() => {}),
      { clock },
    )
    await clock.advance(100)
    expect(await clock.runUntil(codeOf(projection.skip(1_000_000)))).toBe('invalid-argument')
    await clock.advance(100)
    expect(projection.status.getSnapshot().phase).toBe('live')
    await clock.runUntil(projection.stop())
  })

  test('applies a letter once, however often replay() is called', async () => {
    const { clock, projection, seen, mend } = await withLetter()
    mend()
    const [letter] = await lettersOf(projection)
    await letter?.replay()
    await expect(letter?.replay()).rejects.toMatchObject({ code: 'invalid-argument' })
    expect(seen).toEqual([1, 3, 2])
    await clock.runUntil(projection.stop())
  })

  test('applies a letter once where replay() is called twice at the same time', async () => {
    const { clock, projection, seen, mend } = await withLetter()
    mend()
    const [letter] = await lettersOf(projection)
    await Promise.all([letter?.replay(), letter?.replay()])
    expect(seen).toEqual([1, 3, 2])
    await clock.runUntil(projection.stop())
  })

  test('forgets its letters when it is rebuilt', async () => {
    const { clock, projection, seen, mend } = await withLetter()
    expect(await lettersOf(projection)).toHaveLength(1)
    mend()
    await clock.runUntil(projection.rebuild({ wait: false }))
    await clock.advance(10_000)
    expect(seen).toEqual([1, 3, 1, 2, 3])
    expect(await lettersOf(projection)).toEqual([])
    await clock.runUntil(projection.stop())
  })

  test('counts all of its letters in the status', async () => {
    const clock = virtualClock()
    const store = await memoryStore(1500)
    const projection = startProjection(
      store,
      plain(poison, () => 'park'),
      { clock },
    )
    await clock.runUntil(projection.caughtUp(1500))
    await clock.advance(100)
    expect(projection.status.getSnapshot().deadLetterCount).toBe(1500)
    await clock.runUntil(projection.stop())
  })

  test('sees an event at a retry as it was, whatever the first try did to it (N17, B10)', async () => {
    const clock = virtualClock()
    const store = await openMemoryEventStore<{ type: 'A'; data: { items: string[] } }>({ name: newName() })
    await store.append({ stream: 's', events: [{ type: 'A', data: { items: ['x', 'y'] } }] })
    const seen: string[][] = []
    await clock.runUntil(
      runProjection(
        store,
        {
          name: 'p',
          apply({ data }) {
            seen.push([...data.items])
            data.items.pop()
            if (seen.length < 3) poison()
          },
          onFailure: () => 'retry',
        },
        { clock },
      ),
    )
    expect(seen).toEqual([
      ['x', 'y'],
      ['x', 'y'],
      ['x', 'y'],
    ])
  })
})

describe('a batch that has ended', () => {
  test('ends every wait for what it did not reach', async () => {
    const store = await memoryStore(3)
    const projection = startProjection(store, model(), { mode: 'batch' })
    await projection.caughtUp(3)
    await shown(projection.status, ({ phase }) => phase === 'stopped')
    await store.append({ stream: 's', events: [added()] })
    expect(await codeOf(projection.caughtUp(4))).toBe('closed')
    expect(projection.status.getSnapshot().position).toBe(3)
    await projection.stop()
  })

  test('by its budget shows as stopped, and how far behind it is', async () => {
    const clock = virtualClock()
    const store = await memoryStore(30)
    const projection = startProjection(store, model(), { mode: 'batch', budget: { maxEvents: 5 }, clock })
    await clock.advance(100)
    expect(projection.status.getSnapshot()).toMatchObject({
      phase: 'stopped',
      message: 'The batch ended: budget.',
      leader: false,
      position: 5,
      behind: 25,
    })
    await clock.runUntil(projection.stop())
  })
})

describe('while the storage does not answer', () => {
  const hanging = async () => ({ ...(await memoryStore(3)), head: () => new Promise<number>(() => {}) })

  test('the timeout of caughtUp holds', async () => {
    const clock = virtualClock()
    const projection = startProjection(await hanging(), model(), { clock })
    expect(await clock.runUntil(projection.caughtUp(3, { timeout: 50, onTimeout: 'stale' }))).toMatchObject({
      stale: true,
    })
    expect(clock.monotonic()).toBe(50)
    await clock.runUntil(projection.stop())
  })

  test('so does its signal', async () => {
    const clock = virtualClock()
    const projection = startProjection(await hanging(), model(), { clock })
    const controller = new AbortController()
    const waiting = projection.caughtUp(3, { signal: controller.signal })
    controller.abort(new Error('enough'))
    await expect(waiting).rejects.toThrow('enough')
    await clock.runUntil(projection.stop())
  })
})

describe('what ends a run', () => {
  test('store.close() ends a continuous one, and nothing goes on after it', async () => {
    const clock = virtualClock()
    const store = await memoryStore(3)
    const ended = expect(runProjection(store, model(), { mode: 'continuous', clock })).rejects.toMatchObject({
      code: 'projection-failed',
      cause: { code: 'closed' },
    })
    await clock.advance(100)
    await store.close()
    await clock.runUntil(ended)
    expect(clock.pending).toBe(0)
  })

  test('stop() called by a handler does not wait for that handler', async () => {
    const clock = virtualClock()
    const store = await memoryStore(3)
    let returned = false
    const projection = startProjection(
      store,
      model({
        handler: async ({ position }) => {
          if (position !== 2) return
          await projection.stop()
          returned = true
        },
      }),
      { clock },
    )
    await clock.advance(100)
    expect(returned).toBe(true)
    await clock.runUntil(projection.stop())
    expect(clock.monotonic()).toBeLessThan(stopGrace)
  })

  test('aborting the signal frees what stop() frees', async () => {
    const store = await memoryStore(3)
    const controller = new AbortController()
    const projection = startProjection(store, model(), { signal: controller.signal })
    await projection.caughtUp(3)
    controller.abort()
    await shown(projection.status, ({ phase }) => phase === 'stopped')
    // Closed means closed: a handle that was not freed still writes.
    await expect(projection.pause()).rejects.toMatchObject({ code: 'closed' })
  })

  test('an abort while the storage fails ends the status too', async () => {
    const clock = virtualClock()
    const store = await memoryStore(3)
    const controller = new AbortController()
    let down = false
    const orDown = <T>(answer: () => Promise<T>) => (down ? Promise.reject(new Error('down')) : answer())
    const failing = {
      ...store,
      head: () => orDown(() => store.head()),
      checkpoints: { ...store.checkpoints, load: (name: string) => orDown(() => store.checkpoints.load(name)) },
    }
    const held = await store.coordinator.tryAcquire('plain')
    const projection = startProjection(
      failing,
      plain(() => {}),
      { signal: controller.signal, clock },
    )
    await clock.advance(100)
    expect(projection.status.getSnapshot().phase).toBe('standby')
    down = true
    controller.abort()
    await clock.advance(100)
    expect(projection.status.getSnapshot().phase).toBe('stopped')
    held?.release()
  })
})

test('a pause shows as a pause, without a break, and costs no write', async () => {
  const clock = virtualClock()
  const store = await memoryStore(3)
  const { reports, onReport } = listener()
  const projection = startProjection(store, model(), { clock, onReport })
  await clock.advance(100)
  await clock.runUntil(projection.pause())
  await clock.advance(100)
  const phases = new Set([projection.status.getSnapshot().phase])
  projection.status.subscribe(() => phases.add(projection.status.getSnapshot().phase))
  const before = reports.length
  await clock.advance(60_000)
  expect([...phases]).toEqual(['paused'])
  // To take over again, or to commit, would be to write.
  expect(reports.slice(before)).toEqual([])
  await clock.runUntil(projection.stop())
})

test('rebuild() while a failed read waits for its retry begins without an append', async () => {
  const clock = virtualClock()
  const store = await memoryStore(3)
  let failing = false
  const flaky = {
    ...store,
    readPage: (...given: Parameters<typeof store.readPage>) =>
      failing ? Promise.reject(new Error('read')) : store.readPage(...given),
  }
  const { reports, onReport } = listener()
  const projection = startProjection(flaky, model(), { clock, poll: { failureBackoff: 1000 }, onReport })
  await clock.advance(100)
  failing = true
  await clock.advance(6_000)
  expect(projection.status.getSnapshot().phase).toBe('retrying')
  await clock.runUntil(projection.rebuild({ wait: false }))
  failing = false
  await clock.advance(120_000)
  expect(reports).toContainEqual(expect.objectContaining({ type: 'loaded', rebuilding: true }))
  await clock.runUntil(projection.stop())
})

test('a handler that hangs keeps stop() for two seconds at most', async () => {
  const clock = virtualClock()
  const store = await memoryStore(1)
  const begun = gate()
  const projection = startProjection(
    store,
    model({
      handler: () => {
        begun.open()
        return new Promise(() => {})
      },
    }),
    { clock },
  )
  await begun.passed
  await clock.runUntil(projection.stop())
  expect(clock.monotonic()).toBe(stopGrace)
})

test('while events pour in, what somebody waits for in caughtUp is stored without waiting for more', async () => {
  const clock = virtualClock()
  const store = await memoryStore(0)
  const took = 20
  const slow = {
    ...store,
    checkpoints: {
      ...store.checkpoints,
      save: async (...given: Parameters<typeof store.checkpoints.save>) => {
        await sleep(clock, took)
        return store.checkpoints.save(...given)
      },
    },
  }
  const projection = startProjection(
    slow,
    plain(() => {}),
    { clock },
  )
  await clock.advance(1000)
  /** One more comes in while the one before it is stored; that one may then wait as long as storing took. */
  const pour = async (position: number) => {
    await store.append({ stream: 's', events: [added()] })
    await clock.advance(5)
    await store.append({ stream: 's', events: [added()] })
    await clock.advance(took - 5)
    expect(projection.status.getSnapshot().position).toBe(position)
  }
  await pour(1)
  await clock.advance(took)
  expect(projection.status.getSnapshot().position).toBe(1)
  await clock.advance(took)
  expect(projection.status.getSnapshot().position).toBe(2)

  await pour(3)
  const waiting = projection.caughtUp(4)
  await clock.advance(took)
  expect(projection.status.getSnapshot().position).toBe(4)
  expect(await waiting).toMatchObject({ position: 4, stale: false })
  await clock.runUntil(projection.stop())
})

test.for(['an event', 'a coordinator'])(
  'that faults by %s says so in its last report, whose listener may resume it',
  async (by) => {
    const clock = virtualClock()
    const store = await memoryStore(1)
    let broken = true
    const boom = new Error('boom')
    const reports: ProjectionReport[] = []
    const observed: unknown[] = []
    store.observe((report) => void ('projection' in report && report.type === 'faulted' && observed.push(report.error)))
    const { tryAcquire } = store.coordinator
    store.coordinator.tryAcquire = (name) =>
      broken && by === 'a coordinator' ? Promise.reject(boom) : tryAcquire(name)
    const projection = startProjection(
      store,
      plain(() => {
        if (broken && by === 'an event') throw boom
      }),
      {
        clock,
        onReport(report) {
          reports.push(report)
          if (report.type !== 'faulted') return
          broken = false
          void projection.resume()
        },
      },
    )
    await clock.advance(60_000)
    const faults = reports.filter((report) => report.type === 'faulted')
    expect(faults).toMatchObject([{ projection: 'plain', error: { cause: boom } }])
    expect(observed).toEqual(faults.map(({ error }) => error))
    expect(projection.status.getSnapshot()).toMatchObject({ phase: 'live', position: 1 })
    await clock.runUntil(projection.stop())
    expect(reports.filter(({ type }) => type === 'faulted').length).toBe(1)
  },
)
