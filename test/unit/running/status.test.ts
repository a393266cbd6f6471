// What a projection says of itself, on a virtual clock.
import { afterEach, expect, test, vi } from 'vitest'
import { defineEvents, defineProjection, runProjection, startProjection, table, type ProjectionReport } from 'tidemark'
import { openEventStore } from 'tidemark/memory'
import { StatusKeeper } from '../../../src/running/status-keeper.js'
import { virtualClock } from '../../../src/testing/virtual-clock.js'

afterEach(() => void vi.unstubAllGlobals())

type Event = { type: 'Added'; data: number }
const events = defineEvents<Event>()
const add = (data: number) => ({ type: 'Added' as const, data })

function sum(handler: (event: { position: number; data: number }) => void | Promise<void> = () => {}) {
  return defineProjection(events, {
    name: 'sum',
    tables: { sums: table<{ name: string; total: number }>({ key: 'name' }) },
    on: {
      Added: async (event, { sums }) => {
        await handler(event)
        await sums.update('all', (row) => ({ name: 'all', total: (row?.total ?? 0) + event.data }))
      },
    },
    onFailure: ({ retryCount }) => (retryCount < 2 ? 'retry' : 'park'),
  })
}
const storeWith = async (count: number) => {
  const store = await openEventStore<Event>({ name: 'status', events })
  if (count > 0) await store.append({ stream: 's', events: Array.from({ length: count }, (_, at) => add(at + 1)) })
  return store
}

test('N45: behind a leader that does not move, the status says that it stalled and why, and stops saying so', async () => {
  const clock = virtualClock()
  const store = await storeWith(3)
  const held = await store.coordinator.tryAcquire('sum@1')
  const projection = startProjection(store, sum(), { clock, signal: new AbortController().signal })
  await clock.advance(1_000)
  expect(projection.status.getSnapshot()).toMatchObject({
    phase: 'standby',
    position: 0,
    head: 3,
    behind: 3,
  })
  await clock.advance(4_500)
  // Nobody holds it up any more after that: this follower works beside the lock.
  const phases: string[] = []
  projection.status.subscribe(() => phases.push(projection.status.getSnapshot().phase))
  await clock.advance(3_000)
  expect(projection.status.getSnapshot()).toMatchObject({ phase: 'live', position: 3, leader: true })
  expect(projection.status.getSnapshot().message).toBeUndefined()
  held?.release()
  await clock.runUntil(projection.stop())
  await store.close()
})

test('N45: a handler that never comes back shows as stalled, with the event it is at', async () => {
  const clock = virtualClock()
  const store = await storeWith(3)
  let comeBack = () => {}
  const projection = startProjection(
    store,
    sum(({ position }) =>
      position === 2
        ? new Promise<void>((resolve) => {
            comeBack = resolve
          })
        : undefined,
    ),
    { clock },
  )
  await clock.advance(12_000)
  const { phase, message, leader } = projection.status.getSnapshot()
  expect([phase, leader, message]).toEqual([
    'stalled',
    true,
    expect.stringMatching(/^The handler for the event after position 0 has been running for \d+ s\./),
  ])
  comeBack()
  await clock.advance(10)
  expect(projection.status.getSnapshot()).toMatchObject({ phase: 'live', position: 3 })
  expect(projection.status.getSnapshot().message).toBeUndefined()
  await clock.runUntil(projection.stop())
  expect(clock.pending).toBe(0)
  await store.close()
})

test('N28: a handler that waits for its own projection after it waited for something else is refused before long', async () => {
  const clock = virtualClock()
  const store = await storeWith(1)
  const refused: unknown[] = []
  const base = sum()
  const projection = startProjection(
    store,
    {
      ...base,
      on: {
        Added: async (_event: unknown, { sums }: { sums: { get(key: string): Promise<unknown> } }) => {
          await sums.get('all')
          await projection.caughtUp(1).catch((error: unknown) => refused.push(error))
        },
      },
    } as typeof base,
    { clock },
  )
  const outside = projection.caughtUp(1)
  await clock.runUntil(outside)
  expect(refused).toMatchObject([{ code: 'invalid-argument', message: expect.stringContaining('wait for itself') }])
  expect(clock.monotonic()).toBeLessThan(10_000)
  await clock.runUntil(projection.stop())
  await store.close()
})

test('a status that says the same stays the same object; each change is told once', async () => {
  const clock = virtualClock()
  const store = await storeWith(2)
  const projection = startProjection(store, sum(), { clock })
  await clock.advance(100)
  const before = projection.status.getSnapshot()
  let told = 0
  projection.status.subscribe(() => (told += 1))
  await clock.advance(20_000)
  expect(projection.status.getSnapshot()).toBe(before)
  expect(told).toBe(0)
  await store.append({ stream: 's', events: [add(3)] })
  await clock.advance(10)
  expect(projection.status.getSnapshot()).toMatchObject({ position: 3, head: 3, behind: 0, phase: 'live' })
  await clock.runUntil(projection.stop())
  expect(projection.status.getSnapshot()).toMatchObject({ phase: 'stopped', leader: false })
  await store.close()
})

test('onReport tells everything that happens, in order; what it throws changes nothing', async () => {
  const clock = virtualClock()
  const store = await storeWith(4)
  const reports: ProjectionReport[] = []
  const running = runProjection(
    store,
    sum(({ position }) => {
      if (position === 3) throw new TypeError('three')
    }),
    {
      clock,
      retry: { delay: 10, jitter: 0 },
      onReport: (report) => {
        reports.push(report)
        throw new Error('a broken logger')
      },
    },
  )
  const silent = console.error
  console.error = () => {}
  try {
    expect(await clock.runUntil(running)).toMatchObject({ applied: 3, parked: 1, reason: 'caught-up' })
  } finally {
    console.error = silent
  }
  expect(reports.map(({ type }) => type)).toEqual([
    'leading',
    'loaded',
    'read',
    'committed',
    'event-failed',
    'retrying',
    'read',
    'event-failed',
    'retrying',
    'read',
    'event-failed',
    'parked',
    'committed',
    'resigned',
  ])
  expect(reports.find(({ type }) => type === 'parked')).toMatchObject({
    projection: 'sum',
    position: 3,
    eventType: 'Added',
    stream: 's',
    attempts: 3,
    error: { message: 'three' },
  })
  expect(reports.filter(({ type }) => type === 'committed')).toMatchObject([
    { position: 2, events: 2 },
    { position: 4 },
  ])
  await store.close()
})

test('an invalid configuration is refused before anything is started', async () => {
  const store = await storeWith(0)
  for (const config of [
    { mode: 'often' as never },
    { leadership: 'steal' as never },
    { batch: { maxCharacters: 0 } },
    { checkpoint: 'never' as never },
  ]) {
    expect(() => startProjection(store, sum(), config)).toThrow(expect.objectContaining({ code: 'invalid-argument' }))
    await expect(runProjection(store, sum(), config)).rejects.toMatchObject({ code: 'invalid-argument' })
  }
  await store.close()
})

test('an already aborted signal starts nothing', async () => {
  const clock = virtualClock()
  const store = await storeWith(1)
  const projection = startProjection(store, sum(), { clock, signal: AbortSignal.abort() })
  await clock.advance(10)
  await expect(projection.caughtUp(1)).rejects.toMatchObject({ code: 'closed' })
  await clock.runUntil(projection.stop())
  expect([projection.status.getSnapshot().phase, clock.pending]).toEqual(['stopped', 0])
  await store.close()
})

test('a run whose storage fails says what failed in its message, and not any more once it works', async () => {
  const clock = virtualClock()
  const store = await storeWith(1)
  let works = false
  const readPage: typeof store.readPage = async (...given) => {
    if (works) return store.readPage(...given)
    throw new Error('the disk is asleep')
  }
  const projection = startProjection({ ...store, readPage }, sum(), { clock })
  await clock.advance(10)
  expect(projection.status.getSnapshot()).toMatchObject({
    phase: 'retrying',
    message: expect.stringContaining('the disk is asleep'),
  })
  works = true
  await clock.runUntil(projection.caughtUp(1))
  await clock.advance(10)
  expect(projection.status.getSnapshot()).toMatchObject({ phase: 'live' })
  expect(projection.status.getSnapshot().message).toBeUndefined()
  await clock.runUntil(projection.stop())
  await store.close()
})

test('who waits for a leader says why nothing is known of it, until something is', async () => {
  // With a seed by which it waits for the leader for longer than until its second look at the status.
  const clock = virtualClock({ seed: 2 })
  const store = await storeWith(1)
  const held = await store.coordinator.tryAcquire('sum@1')
  let works = false
  const head = async () => {
    if (works) return store.head()
    throw new Error('the disk is asleep')
  }
  const projection = startProjection({ ...store, head }, sum(), { clock })
  await clock.advance(10)
  expect(projection.status.getSnapshot()).toMatchObject({
    phase: 'starting',
    message: 'the disk is asleep',
    lastError: { message: 'the disk is asleep' },
    head: 0,
  })
  works = true
  await clock.advance(5_050)
  expect(projection.status.getSnapshot()).toMatchObject({ phase: 'standby', head: 1 })
  expect(projection.status.getSnapshot()).not.toHaveProperty('message')
  expect(projection.status.getSnapshot()).not.toHaveProperty('lastError')
  held?.release()
  await clock.runUntil(projection.stop())
  await store.close()
})

/** A page that is being prerendered. Returns how to activate it. */
function prerendering() {
  const page = Object.assign(new EventTarget(), { prerendering: true })
  vi.stubGlobal('document', page)
  return () => {
    page.prerendering = false
    page.dispatchEvent(new Event('prerenderingchange'))
  }
}

test('H38: nobody stalls while the page is being prerendered; patience begins with its activation', async () => {
  const clock = virtualClock()
  const activate = prerendering()
  const status = new StatusKeeper(clock, 'p')
  const behind = { position: 0, epoch: 0, owner: '', paused: false, letters: 0 }
  const look = () => {
    status.stored(behind, 1)
    return [status.getSnapshot().phase, status.mayLackRunner(behind, 1)]
  }
  look()
  await clock.advance(60_000)
  expect(look()).toEqual(['starting', false])
  // The last look was long before that.
  await clock.advance(60_000)
  activate()
  await clock.advance(4_999)
  expect(look()).toEqual(['starting', false])
  await clock.advance(1)
  expect(look()).toEqual(['stalled', true])
})

test('H38: a look that began before the activation does not say afterwards that no context runs the projection', async () => {
  const clock = virtualClock()
  const activate = prerendering()
  const store = await storeWith(1)
  const activated = new Promise<void>((resolve) => document.addEventListener('prerenderingchange', () => resolve()))
  // What the coordinator is asked, it says once the page is activated: that nothing was held.
  const coordinator = {
    ...store.coordinator,
    tryAcquire: (name: string) => activated.then(() => store.coordinator.tryAcquire(name)),
    isHeld: () => activated.then(() => false),
  }
  const projection = startProjection({ ...store, coordinator } as never, sum(), { clock })
  const phases: string[] = []
  projection.status.subscribe(() => phases.push(projection.status.getSnapshot().phase))
  await clock.advance(5_600)
  await clock.advance(5_600)
  activate()
  await clock.runUntil(projection.caughtUp(1))
  expect(phases.filter((phase) => phase === 'stalled' || phase === 'not-running')).toEqual([])
  await clock.runUntil(projection.stop())
  await store.close()
})

test('a run that leads is not live before it has seen the head', () => {
  const status = new StatusKeeper(virtualClock(), 'p')
  const phase = () => status.getSnapshot().phase
  const loaded = { type: 'loaded', position: 41, paused: false, rebuilding: false } as never
  const read = (head: number) => status.report({ type: 'read', events: 0, scannedTo: 41, head, duration: 0 } as never)
  status.report({ type: 'leading' } as never)
  status.report(loaded)
  expect(phase()).toBe('starting')
  read(100)
  expect(phase()).toBe('catching-up')
  // What it knows already, it says at once.
  status.report({ type: 'leading' } as never)
  status.report(loaded)
  expect(phase()).toBe('catching-up')
  const done = new StatusKeeper(virtualClock(), 'p')
  done.report({ type: 'leading' } as never)
  done.report(loaded)
  done.report({ type: 'read', events: 0, scannedTo: 41, head: 41, duration: 0 } as never)
  expect(done.getSnapshot()).toMatchObject({ phase: 'live', position: 41, behind: 0 })
})
