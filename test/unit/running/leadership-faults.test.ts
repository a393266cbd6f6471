// Leadership in trouble: contests, controls while behind, pages that come and go.
import { describe, expect, test } from 'vitest'
import { runProjection, startProjection, type Projector } from 'tidemark'
import { EventUnreadableError, LeadershipLostError } from '../../../src/errors.js'
import type { ReadPage } from '../../../src/log/pages.js'
import { sleep } from '../../../src/platform/clock.js'
import { pageLifecycle } from '../../../src/platform/page-lifecycle.js'
import type { ProjectionOptions } from '../../../src/projection/config.js'
import { driveTarget } from '../../../src/projection/leadership.js'
import { stallTimeout } from '../../../src/projection/stall-watch.js'
import { PlainTarget } from '../../../src/projection/plain.js'
import type { ProjectionTarget } from '../../../src/projection/target.js'
import { virtualClock } from '../../../src/testing/virtual-clock.js'
import { fakeBackend, fakeRows, fakeTarget, type FakeBackend } from '../projection/fake-backend.js'
import { added, fakePage, lettersOf, memoryStore, model, poison } from '../read-model/support.js'

/** Runs a target for so long. */
async function follow(backend: FakeBackend, target: ProjectionTarget, ms: number, config: ProjectionOptions = {}) {
  const controller = new AbortController()
  const run = driveTarget(
    target,
    backend,
    { clock: backend.clock, signal: controller.signal, ...config },
    { mode: 'continuous', owner: 'follower' },
  )
  run.catch(() => {})
  await backend.clock.advance(ms)
  controller.abort()
  return backend.clock.runUntil(run)
}

describe('replays', () => {
  test('one after the other do not stop a leader that catches up (N21)', async () => {
    const clock = virtualClock()
    const store = await memoryStore()
    const letters = 80
    await store.append({
      stream: 's',
      events: Array.from({ length: 600 }, (_, at) => added(at < letters ? 'bad' : 'good')),
    })
    let broken = true
    const projection = startProjection(
      store,
      model({
        onFailure: () => 'park',
        handler: async ({ data: { to } }) => {
          if (to === 'good') return sleep(clock, 20)
          if (broken) poison()
        },
      }),
      { clock },
    )
    await clock.advance(1_000)
    broken = false
    const { position: before } = projection.status.getSnapshot()
    let replayed = 0
    await clock.runUntil(
      (async () => {
        for await (const letter of projection.deadLetters()) {
          await letter.replay()
          replayed += 1
          await sleep(clock, 30)
        }
      })(),
    )
    expect(replayed).toBe(letters)
    const { phase, position, lastError } = projection.status.getSnapshot()
    expect([phase, lastError]).toEqual(['catching-up', undefined])
    expect(position).toBeGreaterThan(before)
    await clock.runUntil(projection.stop())
  })

  test('of its own do not end a batch, also if others wait for leadership', async () => {
    const clock = virtualClock()
    const store = await memoryStore(40)
    let broken = true
    const definition = model({
      onFailure: () => 'park',
      handler: async ({ position }) => {
        if (position === 1 && broken) poison()
        await sleep(clock, 10)
      },
    })
    await clock.runUntil(runProjection(store, definition, { budget: { maxEvents: 5 }, clock }))
    broken = false
    // It never gets the lock, so that it only shows and controls.
    const helper = startProjection(
      { ...store, coordinator: { tryAcquire: async () => undefined, acquire: () => new Promise(() => {}) } },
      definition,
      { clock },
    )
    const run = runProjection(store, definition, { clock })
    await clock.advance(50)
    const waiting = startProjection(store, definition, { clock })
    await clock.advance(50)
    expect(waiting.status.getSnapshot().phase).toBe('standby')
    const [letter] = await lettersOf(helper)
    await clock.runUntil(letter?.replay() ?? Promise.reject(new Error('There is no letter.')))
    expect(helper.status.getSnapshot().position).toBeLessThan(40)
    expect(await clock.runUntil(run)).toMatchObject({ reason: 'caught-up', position: 40 })
    await clock.runUntil(Promise.all([waiting.stop(), helper.stop()]))
  })
})

describe('a follower', () => {
  test('takes over although the next event cannot be decoded here', async () => {
    const backend = fakeBackend()
    const rows = fakeRows()
    await backend.coordinator.tryAcquire('rows@1')
    const { readPage } = backend.reader
    const failing: ReadPage = async (request, options) => {
      const answer = await readPage(request)
      if (answer.events[0]?.position !== 1) return answer
      const error = new EventUnreadableError(1, 'no upcast')
      if (options?.unreadable !== 'collect') throw error
      return { ...answer, unreadable: [error] }
    }
    backend.reader.readPage = failing
    backend.append(3)
    await follow(backend, fakeTarget(rows, { onFailure: () => 'park' }), 20 * stallTimeout)
    expect([rows.position, rows.letters.length]).toEqual([3, 1])
  })

  test('takes over behind a fault that another context has got past', async () => {
    const backend = fakeBackend()
    const rows = fakeRows()
    backend.append(3)
    // A gave up at the head, because its reads failed.
    backend.faults.read = (n) => (n > 1 ? new Error('down') : undefined)
    const first = driveTarget(
      fakeTarget(rows),
      backend,
      { clock: backend.clock, poll: { maxConsecutiveFailures: 1 } },
      { mode: 'continuous', owner: 'a' },
    )
    await expect(backend.clock.runUntil(first)).rejects.toMatchObject({ code: 'projection-failed' })
    expect(rows.fault).toBeDefined()
    delete backend.faults.read
    // B took the lock, loaded, and is at the head. Then its process is stopped.
    await backend.coordinator.tryAcquire('rows@1')
    await fakeTarget(rows).begin('b')
    backend.append(5)
    await follow(backend, fakeTarget(rows), 20 * 60_000)
    expect(rows.position).toBe(8)
  })

  test('in a page whose timers are throttled to one a minute takes over in the end (H58)', async () => {
    const backend = fakeBackend()
    const rows = fakeRows()
    await backend.coordinator.tryAcquire('rows@1')
    const minute = 60_000
    const clock = {
      ...backend.clock,
      schedule: (ms: number, callback: () => void) =>
        backend.clock.schedule(Math.ceil(Math.max(ms, 1) / minute) * minute, callback),
    }
    backend.append(3)
    await follow(backend, fakeTarget(rows), 60 * minute, { clock })
    expect(rows.position).toBe(3)
  })

  test('that was aborted while it asked for the lock does not take over', async () => {
    const backend = fakeBackend()
    const rows = fakeRows()
    backend.append(3)
    const controller = new AbortController()
    const coordinator = {
      ...backend.coordinator,
      async tryAcquire(name: string) {
        const guard = await backend.coordinator.tryAcquire(name)
        controller.abort()
        return guard
      },
    }
    const run = driveTarget(
      fakeTarget(rows),
      { ...backend, coordinator },
      { clock: backend.clock, signal: controller.signal },
      { mode: 'continuous', owner: 'a' },
    )
    expect(await backend.clock.runUntil(run)).toMatchObject({ reason: 'aborted' })
    expect(rows.epoch).toBe(0)
  })
})

describe('each-event', () => {
  const drive = (backend: FakeBackend, projector: Projector) => {
    const config = { clock: backend.clock, checkpoint: 'each-event' } as const
    return backend.clock.runUntil(
      driveTarget(new PlainTarget(projector, backend.checkpoints, config), backend, config, {
        mode: 'batch',
        owner: 'a',
      }),
    )
  }

  test('a checkpoint that cannot be saved is no failure of the event', async () => {
    const backend = fakeBackend()
    backend.append(3)
    const { save } = backend.checkpoints
    let full = true
    backend.checkpoints.save = async (name, position, options) => {
      if (full && position === 2) {
        full = false
        throw new Error('quota')
      }
      return save(name, position, options)
    }
    const asked: number[] = []
    const result = await drive(backend, {
      name: 'p',
      apply() {},
      onFailure: ({ position }) => {
        asked.push(position)
        return 'fatal'
      },
    })
    expect([result.reason, full, asked]).toEqual(['caught-up', false, []])
  })

  test('a runner that lost its leadership stops, and blames no event', async () => {
    const backend = fakeBackend()
    backend.append(100)
    const { save } = backend.checkpoints
    backend.checkpoints.save = async (name, position, options) => {
      // Another runner came so far.
      if (position === 3) backend.positions.set('p', 100)
      return save(name, position, options)
    }
    const applied: number[] = []
    const asked: number[] = []
    const running = drive(backend, {
      name: 'p',
      apply: ({ position }) => void applied.push(position),
      onFailure: ({ position }) => {
        asked.push(position)
        return 'skip'
      },
    })
    await expect(running).rejects.toBeInstanceOf(LeadershipLostError)
    expect([applied, asked]).toEqual([[1, 2, 3], []])
  })
})

describe('a page', () => {
  test('that came back while nothing ran leads again (resume after a fault)', async () => {
    const page = fakePage()
    const clock = virtualClock()
    const store = await memoryStore(1)
    let broken = true
    const projection = startProjection(
      store,
      model({
        handler: () => {
          if (!broken) return
          // A request of the handler fails because the page is going away.
          page.hide()
          throw new TypeError('Failed to fetch')
        },
      }),
      { clock },
    )
    await clock.advance(1_000)
    expect(projection.status.getSnapshot().phase).toBe('faulted')
    broken = false
    page.show()
    await clock.advance(1_000)
    await clock.runUntil(projection.resume())
    await clock.advance(60_000)
    expect(projection.status.getSnapshot()).toMatchObject({ phase: 'live', position: 1 })
    await clock.runUntil(projection.stop())
  })

  test('is here or away for all who ask', () => {
    const page = fakePage()
    const before = pageLifecycle()
    const unsubscribe = before?.subscribe(() => {})
    expect([before?.presence(), pageLifecycle()?.presence()]).toEqual(['visible', 'visible'])
    page.freeze()
    expect([before?.presence(), pageLifecycle()?.presence()]).toEqual(['away', 'away'])
    unsubscribe?.()
    // Nobody would hear that it came back. Whoever asks is running, and so is the page.
    expect(before?.presence()).toBe('visible')
    const again = before?.subscribe(() => {})
    expect(before?.presence()).toBe('visible')
    again?.()
  })

  test('lets go of the lock when it goes away, also with leadership try and in a batch (H54)', async () => {
    const page = fakePage()
    const clock = virtualClock()
    for (const config of [{ leadership: 'try' }, { mode: 'batch' }] as const) {
      const store = await memoryStore(1)
      const projection = startProjection(store, model({ handler: () => sleep(clock, 5_000) }), { clock, ...config })
      await clock.advance(1_000)
      expect(projection.status.getSnapshot()).toMatchObject({ phase: 'catching-up', leader: true })
      expect(await store.coordinator.tryAcquire('model@1')).toBeUndefined()
      page.freeze()
      await clock.advance(10)
      expect(await store.coordinator.tryAcquire('model@1')).toBeDefined()
      await clock.runUntil(projection.stop())
      page.resume()
    }
  })
})
