// Who leads, and how that changes, on a virtual clock: several contexts over one set of rows.
import { describe, expect, test } from 'vitest'
import type { PageLifecycle, Presence } from '../../../src/platform/page-lifecycle.js'
import { driveTarget, stallTimeout, type Backend, type LeadershipHints } from '../../../src/projection/leadership.js'
import type { ProjectionConfig } from '../../../src/projection/config.js'
import type { ProjectionReport } from '../../../src/projection/report.js'
import { applied, applying, type ProjectionTarget } from '../../../src/projection/target.js'
import { fakeBackend, fakeRows, fakeTarget, upTo, type FakeBackend } from './fake-backend.js'

/** The hints of one store, heard by all its contexts. */
function hintBus() {
  const listeners = new Set<(kind: 'hidden-leader' | 'candidate') => void>()
  const bus: LeadershipHints = {
    post: (kind) => queueMicrotask(() => { for (const listener of [...listeners]) listener(kind) }),
    listen(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
  }
  return { bus, listeners }
}

/** A page that a test shows, hides and freezes. */
function fakePage(presence: Presence) {
  const listeners = new Set<(presence: Presence) => void>()
  const lifecycle: PageLifecycle = {
    presence: () => presence,
    subscribe(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
  }
  return {
    lifecycle, listeners,
    become(next: Presence) {
      presence = next
      for (const listener of [...listeners]) listener(next)
    },
  }
}

type Page = ReturnType<typeof fakePage>

/** Starts a context, and keeps what it reports. */
function context(backend: FakeBackend, target: ProjectionTarget, name: string, page?: Page, hints?: LeadershipHints, config: ProjectionConfig<never> = {}) {
  const stopping = new AbortController()
  const reports: ProjectionReport['type'][] = []
  const ports: Backend<never> = { reader: backend.reader as never, coordinator: backend.coordinator, lifecycle: page?.lifecycle, hints }
  const ended = driveTarget(target as never, ports, { clock: backend.clock, mode: 'continuous', signal: stopping.signal, ...config }, {
    mode: 'continuous', owner: name, report: ({ type }) => reports.push(type),
  })
  ended.catch(() => {})
  return {
    reports, ended,
    get leads() {
      return reports.lastIndexOf('leading') > reports.lastIndexOf('resigned')
    },
    async stop() {
      stopping.abort()
      await backend.clock.runUntil(ended)
    },
  }
}

describe('hand-over', () => {
  test('H58: a hidden leader hands over to a visible follower, and stays if there is none', async () => {
    const backend = fakeBackend()
    const rows = fakeRows()
    const { bus, listeners } = hintBus()
    const [first, second, third] = [fakePage('visible'), fakePage('hidden'), fakePage('visible')]
    const a = context(backend, fakeTarget(rows), 'a', first, bus)
    await backend.clock.advance(100)
    const b = context(backend, fakeTarget(rows), 'b', second, bus)
    await backend.clock.advance(100)
    first.become('hidden')
    backend.append(3)
    await backend.clock.advance(100)
    expect([a.leads, b.leads, rows.owner]).toEqual([true, false, 'a'])
    const c = context(backend, fakeTarget(rows), 'c', third, bus)
    await backend.clock.advance(10_000)
    backend.append(3)
    await backend.clock.advance(20_000)
    expect([a.leads, b.leads, c.leads, rows.owner]).toEqual([false, false, true, 'c'])
    expect(rows.applied).toEqual(upTo(6))
    for (const each of [a, b, c]) await each.stop()
    expect([backend.clock.pending, listeners.size, first.listeners.size + second.listeners.size + third.listeners.size, backend.listeners.size]).toEqual([0, 0, 0, 0])
  })

  test('H54: a page that freezes or leaves lets go at once, leads no more while it is away, and queues again when it is back', async () => {
    const backend = fakeBackend()
    const rows = fakeRows()
    const [first, second] = [fakePage('visible'), fakePage('visible')]
    const { bus } = hintBus()
    const a = context(backend, fakeTarget(rows), 'a', first, bus)
    await backend.clock.advance(10)
    const b = context(backend, fakeTarget(rows), 'b', second, bus)
    await backend.clock.advance(10)
    first.become('away')
    backend.append(2)
    await backend.clock.advance(10)
    expect([a.leads, b.leads, rows.applied]).toEqual([false, true, [1, 2]])
    second.become('away')
    backend.append(2)
    await backend.clock.advance(60_000)
    expect([a.leads, b.leads, rows.applied]).toEqual([false, false, [1, 2]])
    first.become('visible')
    await backend.clock.advance(10)
    expect([a.leads, rows.applied]).toEqual([true, upTo(4)])
    await a.stop()
    await b.stop()
    expect(await backend.coordinator.tryAcquire('rows@1')).toBeDefined()
  })

  test('H63: a stranger that says without end that it would lead stops a hidden leader now and then, not for good', async () => {
    const backend = fakeBackend()
    const rows = fakeRows()
    const { bus } = hintBus()
    const page = fakePage('hidden')
    const a = context(backend, fakeTarget(rows), 'a', page, bus)
    for (let round = 0; round < 300; round += 1) {
      bus.post('candidate')
      await backend.clock.advance(100)
    }
    backend.append(3)
    await backend.clock.advance(100)
    expect(rows.applied).toEqual([1, 2, 3])
    expect(a.reports.filter((type) => type === 'handed-over').length).toBeLessThanOrEqual(7)
    await a.stop()
  })

  test('an abort while the page is away ends the run', async () => {
    const backend = fakeBackend()
    const page = fakePage('away')
    const a = context(backend, fakeTarget(fakeRows()), 'a', page)
    await backend.clock.advance(10)
    await a.stop()
    expect(await a.ended).toMatchObject({ reason: 'aborted' })
    expect(page.listeners.size).toBe(0)
  })
})

describe('taking over', () => {
  test('N15: a follower goes on within the stall time, holds the lock once it is free, and the old leader queues behind it', async () => {
    const backend = fakeBackend()
    const rows = fakeRows()
    let thaw = () => {}
    const frozen = new Promise<undefined>((resolve) => { thaw = () => resolve(undefined) })
    const a = context(backend, fakeTarget(rows, { commit: () => frozen }), 'a')
    await backend.clock.advance(10)
    const b = context(backend, fakeTarget(rows), 'b')
    await backend.clock.advance(10)
    backend.append(3)
    await backend.clock.advance(2.4 * stallTimeout)
    expect([rows.applied, rows.owner]).toEqual([[1, 2, 3], 'b'])
    thaw()
    await backend.clock.advance(60_000)
    backend.append(1)
    await backend.clock.advance(10)
    expect([a.leads, b.leads, rows.applied, rows.owner]).toEqual([false, true, upTo(4), 'b'])
    // One change of hands, not a series of them.
    expect(rows.epoch).toBe(2)
    await b.stop()
    await backend.clock.advance(10_000)
    backend.append(1)
    await backend.clock.advance(10)
    expect([a.leads, rows.applied]).toEqual([true, upTo(5)])
    await a.stop()
  })

  test('two contexts whose events take longer than the stall time get done all the same', async () => {
    const backend = fakeBackend()
    const rows = fakeRows()
    const slow = (): ProjectionTarget => {
      const target = fakeTarget(rows)
      const { apply } = target
      target.apply = (event) => applying((async () => {
        await new Promise<void>((resolve) => void backend.clock.schedule(4 * stallTimeout, resolve))
        await applied(apply(event))
      })())
      return target
    }
    backend.append(5)
    const a = context(backend, slow(), 'a')
    const b = context(backend, slow(), 'b')
    await backend.clock.advance(20 * 60_000)
    expect(rows.applied).toEqual(upTo(5))
    await a.stop()
    await b.stop()
  })

  test('H56: a follower that slept itself does not judge the leader', async () => {
    const backend = fakeBackend()
    const rows = fakeRows()
    const held = await backend.coordinator.tryAcquire('rows@1')
    // The clock jumps by a minute behind its back, once: as after a suspended laptop.
    let slept = 0
    const clock = { ...backend.clock, monotonic: () => backend.clock.monotonic() + slept }
    const a = context({ ...backend, clock } as FakeBackend, fakeTarget(rows), 'a')
    backend.append(3)
    await backend.clock.advance(1_000)
    slept = 60_000
    await backend.clock.advance(6_000)
    expect([a.leads, rows.epoch]).toEqual([false, 0])
    held?.release()
    await backend.clock.advance(10)
    expect(a.leads).toBe(true)
    await a.stop()
  })

  test('N16, H60: a lock that is taken away ends the work, and what was begun is committed once or refused', async () => {
    const backend = fakeBackend()
    const rows = fakeRows()
    const lost = new AbortController()
    let grants = 0
    const coordinator = {
      ...backend.coordinator,
      async tryAcquire(name: string) {
        const guard = await backend.coordinator.tryAcquire(name)
        return guard && (grants += 1) === 1 ? { ...guard, lost: lost.signal } : guard
      },
    }
    backend.append(10)
    const a = context({ ...backend, coordinator }, fakeTarget(rows, { apply: (event) => { if (event.position === 5) lost.abort(new Error('stolen')) } }), 'a')
    await backend.clock.advance(10_000)
    expect(rows.applied).toEqual(upTo(10))
    expect(a.reports).toContain('leadership-lost')
    expect(grants).toBe(2)
    await a.stop()
  })
})

test('a paused projection is not taken for a stalled one', async () => {
  const backend = fakeBackend()
  const rows = { ...fakeRows(), paused: true }
  const a = context(backend, fakeTarget(rows), 'a')
  await backend.clock.advance(10)
  const b = context(backend, fakeTarget(rows), 'b')
  backend.append(3)
  await backend.clock.advance(60_000)
  expect([a.leads, b.leads, rows.epoch]).toEqual([true, false, 1])
  await a.stop()
  await b.stop()
})
