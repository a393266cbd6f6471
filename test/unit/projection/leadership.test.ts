// Who leads, and how that changes, on a virtual clock: several contexts over one set of rows.
import { describe, expect, test } from 'vitest'
import { LeadershipLostError } from '../../../src/errors.js'
import type { PageLifecycle, Presence } from '../../../src/platform/page-lifecycle.js'
import type { LeadershipHints } from '../../../src/projection/hand-over.js'
import { driveTarget, type Backend } from '../../../src/projection/leadership.js'
import { stallTimeout } from '../../../src/projection/stall-watch.js'
import type { ProjectionOptions } from '../../../src/projection/config.js'
import type { ProjectionReport } from '../../../src/projection/report.js'
import type { Coordinator } from '../../../src/ports.js'
import { applied, applying, type ProjectionTarget } from '../../../src/projection/target.js'
import { fakeBackend, fakeRows, fakeTarget, upTo, type FakeBackend } from './fake-backend.js'

/** The hints of one store, heard by all its contexts. */
function hintBus() {
  const listeners = new Set<(kind: 'hidden-leader' | 'candidate') => void>()
  const bus: LeadershipHints = {
    post: (kind) =>
      queueMicrotask(() => {
        for (const listener of [...listeners]) listener(kind)
      }),
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
    lifecycle,
    listeners,
    become(next: Presence) {
      presence = next
      for (const listener of [...listeners]) listener(next)
    },
  }
}

type Page = ReturnType<typeof fakePage>

/** Starts a context, and keeps what it reports. */
function context(
  backend: FakeBackend,
  target: ProjectionTarget,
  name: string,
  page?: Page,
  hints?: LeadershipHints,
  config: ProjectionOptions = {},
) {
  const stopping = new AbortController()
  const reports: ProjectionReport['type'][] = []
  const controls = new Set<() => void>()
  const ports: Backend<never> = {
    onControl(listener) {
      controls.add(listener)
      return () => void controls.delete(listener)
    },
    reader: backend.reader as never,
    coordinator: backend.coordinator,
    lifecycle: page?.lifecycle,
    hints,
  }
  const ended = driveTarget(
    target as never,
    ports,
    { clock: backend.clock, mode: 'continuous', signal: stopping.signal, ...config },
    {
      mode: 'continuous',
      owner: name,
      report: ({ type }) => reports.push(type),
    },
  )
  ended.catch(() => {})
  return {
    reports,
    ended,
    /** It looks for what was appended. */
    wake() {
      for (const control of [...controls]) control()
    },
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
    expect([
      backend.clock.pending,
      listeners.size,
      first.listeners.size + second.listeners.size + third.listeners.size,
      backend.listeners.size,
    ]).toEqual([0, 0, 0, 0])
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
    const frozen = new Promise<undefined>((resolve) => {
      thaw = () => resolve(undefined)
    })
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

  /** A leader at work on a log of which each event takes 100 ms, and a follower. */
  const atWork = async (hangsAt = Infinity) => {
    const backend = fakeBackend()
    const rows = fakeRows()
    let thaw = () => {}
    const slow = fakeTarget(rows, {
      commit: (n) =>
        new Promise((resolve) => {
          const done = () => resolve(undefined)
          if (n >= hangsAt) thaw = done
          else backend.clock.schedule(100, done)
        }),
    })
    const a = context(backend, slow, 'a', undefined, undefined, { batch: { maxEvents: 1 } })
    await backend.clock.advance(10)
    const b = context(backend, fakeTarget(rows), 'b')
    await backend.clock.advance(10)
    const stop = async () => {
      thaw()
      await Promise.all([a.stop(), b.stop()])
    }
    return { backend, rows, a, b, stop }
  }

  test('N15: a leader that hangs is left behind within seven and a half seconds, whenever that is', async () => {
    for (let hangsAt = 5; hangsAt <= 65; hangsAt += 10) {
      const { backend, rows, b, stop } = await atWork(hangsAt)
      backend.append(100)
      // The commit at which it hangs would be done then.
      await backend.clock.advance(100 * hangsAt)
      expect([hangsAt, rows.position, b.leads]).toEqual([hangsAt, hangsAt - 1, false])
      await backend.clock.advance(7_500)
      expect([hangsAt, rows.position, b.leads]).toEqual([hangsAt, 100, true])
      await stop()
    }
  })

  test('N15: without a message from other contexts it is left behind within twelve and a half seconds', async () => {
    for (let hangsAt = 1; hangsAt <= 61; hangsAt += 10) {
      const { backend, rows, a, b, stop } = await atWork(hangsAt)
      backend.append(100, 'A', false)
      a.wake()
      await backend.clock.advance(100 * hangsAt + 12_500)
      expect([hangsAt, rows.position, b.leads]).toEqual([hangsAt, 100, true])
      await stop()
    }
  })

  test('N15: a leader keeps its place that is not yet done with what was appended a moment ago', async () => {
    for (const hint of [true, false]) {
      const { backend, a, b, stop } = await atWork()
      // At every moment of what a follower waits.
      for (let n = 0; n < 40; n += 1) {
        backend.append(1, 'A', hint)
        a.wake()
        await backend.clock.advance(5_500 + 37 * n)
        expect([hint, n, a.leads, b.leads]).toEqual([hint, n, true, false])
      }
      await stop()
    }
  })

  test('two contexts whose events take longer than the stall time get done all the same', async () => {
    const backend = fakeBackend()
    const rows = fakeRows()
    const slow = (): ProjectionTarget => {
      const target = fakeTarget(rows)
      const { apply } = target
      target.apply = (event) =>
        applying(
          (async () => {
            await new Promise<void>((resolve) => void backend.clock.schedule(4 * stallTimeout, resolve))
            await applied(apply(event))
          })(),
        )
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
    await backend.clock.advance(5_000)
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
    const a = context(
      { ...backend, coordinator },
      fakeTarget(rows, {
        apply: (event) => {
          if (event.position === 5) lost.abort(new Error('stolen'))
        },
      }),
      'a',
    )
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

describe('the lock', () => {
  const ports = (backend: FakeBackend, coordinator: Partial<Backend<never>['coordinator']> = {}): Backend<never> => ({
    reader: backend.reader as never,
    coordinator: { ...backend.coordinator, ...coordinator },
  })
  const drive = (
    backend: FakeBackend,
    target: ProjectionTarget,
    given: Backend<never>,
    config: ProjectionOptions = {},
    reports: ProjectionReport[] = [],
  ) => {
    const ended = driveTarget(
      target as never,
      given,
      { clock: backend.clock, mode: 'continuous', ...config },
      { mode: 'continuous', owner: 'a', report: (each) => void reports.push(each) },
    )
    ended.catch(() => {})
    return ended
  }

  test('one that is granted after the run was stopped is freed: another context can lead', async () => {
    for (const late of ['tryAcquire', 'acquire'] as const) {
      const backend = fakeBackend()
      let grant = () => {}
      let freed = 0
      const granting = new Promise<{ release(): void }>(
        (resolve) => (grant = () => resolve({ release: () => void (freed += 1) })),
      )
      const stopping = new AbortController()
      const ended = drive(
        backend,
        fakeTarget(fakeRows()),
        ports(backend, { ...(late === 'acquire' && { tryAcquire: async () => undefined }), [late]: () => granting }),
        { signal: stopping.signal },
      )
      await backend.clock.advance(10)
      stopping.abort()
      // What hangs is let go of after the grace.
      await backend.clock.advance(2_100)
      grant()
      await backend.clock.advance(10)
      expect(await backend.clock.runUntil(ended)).toMatchObject({ reason: 'aborted' })
      expect([late, freed]).toEqual([late, 1])
    }
  })
  test('a handler that hangs keeps it for two seconds after a stop, and no longer', async () => {
    const backend = fakeBackend()
    backend.append(2)
    const rows = fakeRows()
    const hangs = new Promise<undefined>(() => {})
    const stopping = new AbortController()
    void drive(backend, fakeTarget(rows, { commit: () => hangs }), ports(backend), { signal: stopping.signal })
    await backend.clock.advance(10)
    stopping.abort()
    await backend.clock.advance(1_990)
    expect(await backend.coordinator.tryAcquire('rows@1')).toBeUndefined()
    await backend.clock.advance(20)
    expect(await backend.coordinator.tryAcquire('rows@1')).toBeDefined()
  })
  test('one that comes back within that time stores what it did', async () => {
    const backend = fakeBackend()
    backend.append(2)
    const rows = fakeRows()
    let goOn = () => {}
    const waits = new Promise<undefined>((resolve) => (goOn = () => resolve(undefined)))
    const stopping = new AbortController()
    const ended = drive(backend, fakeTarget(rows, { commit: () => waits }), ports(backend), { signal: stopping.signal })
    await backend.clock.advance(10)
    stopping.abort()
    await backend.clock.advance(1_000)
    goOn()
    expect(await backend.clock.runUntil(ended)).toMatchObject({ reason: 'aborted', position: 2 })
    expect([rows.applied, backend.clock.pending]).toEqual([[1, 2], 0])
  })
  test('a target that refuses every commit ends the run after 21 losses, and before that it leads again', async () => {
    const backend = fakeBackend()
    backend.append(1)
    const rows = fakeRows()
    const target = fakeTarget(rows)
    const reports: ProjectionReport[] = []
    // Somebody else takes over each time.
    const refusing: ProjectionTarget = {
      ...target,
      commit: async () => {
        rows.owner = 'another'
        throw new LeadershipLostError('rows', 'another epoch')
      },
    }
    const ended = drive(backend, refusing, ports(backend), {}, reports)
    await expect(backend.clock.runUntil(ended)).rejects.toMatchObject({ code: 'leadership-lost' })
    expect(reports.filter(({ type }) => type === 'leadership-lost')).toHaveLength(21)
    expect(reports.filter(({ type }) => type === 'leading')).toHaveLength(21)
    expect(reports.filter(({ type }) => type === 'resigned')).toHaveLength(21)
    expect(await backend.coordinator.tryAcquire('rows@1')).toBeDefined()
  })
  test('losses between which something is committed have no end', async () => {
    const backend = fakeBackend()
    backend.append(60)
    const rows = fakeRows()
    const reports: ProjectionReport[] = []
    const stopping = new AbortController()
    const ended = drive(
      backend,
      fakeTarget(rows, {
        commit: (n) => {
          if (n % 2 === 0) {
            rows.epoch += 1
            rows.owner = 'another'
          }
          return undefined
        },
      }),
      ports(backend),
      { batch: { maxEvents: 1 }, signal: stopping.signal },
      reports,
    )
    await backend.clock.advance(60_000)
    stopping.abort()
    await backend.clock.runUntil(ended)
    expect(reports.filter(({ type }) => type === 'leadership-lost').length).toBeGreaterThan(25)
    expect(rows.applied).toEqual(upTo(60))
  })
  test('losses that lie far apart have no end either, on a log to which nothing is appended', async () => {
    const backend = fakeBackend()
    const reports: ProjectionReport[] = []
    const stopping = new AbortController()
    let ends: AbortController | undefined
    const { coordinator } = backend
    const connected: Coordinator = {
      tryAcquire: async (name) => {
        const guard = await coordinator.tryAcquire(name)
        if (!guard) return undefined
        ends = new AbortController()
        return { release: () => guard.release(), lost: ends.signal }
      },
      acquire: async (name, signal) => coordinator.acquire(name, signal),
    }
    const ended = drive(
      backend,
      fakeTarget(fakeRows()),
      { ...ports(backend), coordinator: connected },
      { signal: stopping.signal },
      reports,
    )
    for (let times = 0; times < 30; times += 1) {
      await backend.clock.advance(90_000)
      ends?.abort(new Error('the connection was lost'))
    }
    await backend.clock.advance(10_000)
    expect(reports.filter(({ type }) => type === 'leadership-lost')).toHaveLength(30)
    expect(reports.filter(({ type }) => type === 'leading')).toHaveLength(31)
    stopping.abort()
    expect(await backend.clock.runUntil(ended)).toMatchObject({ reason: 'aborted' })
  })
  test('a batch, and one that does not wait, ends with its first loss', async () => {
    for (const config of [{ mode: 'batch' }, { leadership: 'try' }] as const) {
      const backend = fakeBackend()
      backend.append(1)
      const rows = fakeRows()
      const refusing: ProjectionTarget = {
        ...fakeTarget(rows),
        commit: async () => {
          rows.owner = 'another'
          throw new LeadershipLostError('rows', 'another epoch')
        },
      }
      const reports: ProjectionReport[] = []
      await expect(
        backend.clock.runUntil(drive(backend, refusing, ports(backend), config, reports)),
      ).rejects.toMatchObject({ code: 'leadership-lost' })
      expect(reports.filter(({ type }) => type === 'leading')).toHaveLength(1)
    }
  })
  test('a loss on its own behalf keeps the lock: nobody else leads in between', async () => {
    const backend = fakeBackend()
    backend.append(5)
    const rows = fakeRows()
    const reports: ProjectionReport[] = []
    let first = true
    const target = fakeTarget(rows, {
      commit: () => {
        // A replay raised the epoch.
        if (first) rows.epoch += 1
        first = false
        return undefined
      },
    })
    const stopping = new AbortController()
    const ended = drive(backend, target, ports(backend), { signal: stopping.signal }, reports)
    await backend.clock.advance(5)
    expect(rows.applied).toEqual(upTo(5))
    stopping.abort()
    await backend.clock.runUntil(ended)
    expect(reports.filter(({ type }) => type === 'leading')).toHaveLength(1)
    expect(reports.filter(({ type }) => type === 'leadership-lost')).toHaveLength(1)
  })
  test('a fault is kept for others; one of a run that was passed is none, and a rebuild that is given up goes on with the old rows', async () => {
    for (const outcome of ['stopped', 'moved', 'rebuild-given-up'] as const) {
      const backend = fakeBackend()
      backend.append(3)
      const rows = fakeRows()
      const faults: unknown[] = []
      const reports: ProjectionReport[] = []
      let broken = true
      const target = fakeTarget(rows, {
        apply: ({ position }) => {
          if (broken && position === 2) throw new Error('no')
        },
      })
      const recording: ProjectionTarget = {
        ...target,
        recordFault: async (fault) => (faults.push(fault), (broken = false), outcome),
      }
      const stopping = new AbortController()
      const ended = drive(backend, recording, ports(backend), { signal: stopping.signal }, reports)
      await backend.clock.advance(1_000)
      stopping.abort()
      if (outcome === 'stopped')
        await expect(backend.clock.runUntil(ended)).rejects.toMatchObject({ code: 'projection-failed', position: 2 })
      else expect(await backend.clock.runUntil(ended)).toMatchObject({ reason: 'aborted', position: 3 })
      expect(faults).toMatchObject([
        { position: 2, eventId: 'id-2', eventType: 'A', message: expect.stringContaining('no') },
      ])
      expect([outcome, reports.some(({ type }) => type === 'rebuild-failed')]).toEqual([
        outcome,
        outcome === 'rebuild-given-up',
      ])
      expect(rows.applied).toEqual(outcome === 'stopped' ? [1] : [1, 2, 3])
    }
  })
  test('a follower that did not win doubles its patience, until something is committed', async () => {
    const backend = fakeBackend()
    const guard = await backend.coordinator.tryAcquire('rows@1')
    backend.append(1)
    const rows = fakeRows()
    const reports: ProjectionReport[] = []
    const stopping = new AbortController()
    const refusing: ProjectionTarget = {
      ...fakeTarget(rows),
      commit: async () => {
        rows.owner = 'another'
        throw new LeadershipLostError('rows', 'another epoch')
      },
    }
    const ended = drive(backend, refusing, ports(backend), { signal: stopping.signal }, reports)
    await backend.clock.advance(150_000)
    stopping.abort()
    await backend.clock.runUntil(ended)
    const led = reports.flatMap((each) => (each.type === 'leading' ? [each.time] : []))
    expect(reports.filter(({ type }) => type === 'leading')).toMatchObject(led.map(() => ({ withoutLock: true })))
    // Each takeover and each loss doubles it: 5 s, then 20 s, then 80 s.
    const gaps = led.map((time, at) => time - (led[at - 1] ?? 0))
    expect(led.length).toBe(3)
    for (const [at, least] of [5_000, 20_000, 80_000].entries())
      expect((gaps[at] ?? 0) >= least && (gaps[at] ?? 0) <= least * 1.2 + 1_000).toBe(true)
    guard?.release()
  })
  test('a standing run gives its leadership up while it is away, and a page that asks is told who leads', async () => {
    const backend = fakeBackend()
    const rows = fakeRows()
    const { bus } = hintBus()
    const heard: string[] = []
    bus.listen((kind) => heard.push(kind))
    const [hidden, visible] = [fakePage('hidden'), fakePage('visible')]
    const a = context(backend, fakeTarget(rows), 'a', hidden, bus)
    await backend.clock.advance(10)
    // One that begins to lead while it is hidden says so.
    expect(heard).toEqual(['hidden-leader'])
    const b = context(backend, fakeTarget(rows), 'b', visible, bus)
    await backend.clock.advance(10)
    // One that would lead says so, and is handed it.
    expect(heard).toContain('candidate')
    expect([a.leads, b.leads]).toEqual([false, true])
    expect(a.reports).toContain('handed-over')
    await a.stop()
    await b.stop()
  })
})
