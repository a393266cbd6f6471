// How a status is made of reports and looks, without a run.
import { expect, test } from 'vitest'
import type { ProjectionReport } from 'tidemark'
import type { ProjectionState } from '../../../src/projection/target.js'
import { StatusKeeper } from '../../../src/running/status-keeper.js'
import { virtualClock } from '../../../src/testing/virtual-clock.js'

function keeper() {
  const clock = virtualClock()
  const status = new StatusKeeper(clock, 'p')
  let told = 0
  status.subscribe(() => (told += 1))
  return {
    clock,
    status,
    now: status.getSnapshot,
    told: () => told,
    report: (report: object) => status.report(report as ProjectionReport),
    /** A look at the stored state. */
    look: (state: Partial<ProjectionState>, head: number, late?: boolean) =>
      status.stored({ position: 0, epoch: 0, owner: 'other', paused: false, letters: 0, ...state }, head, late),
    /** A run that leads and read everything up to here. */
    lead(position: number, head = position) {
      status.report({ type: 'leading' } as ProjectionReport)
      status.report({ type: 'loaded', position, paused: false, rebuilding: false } as unknown as ProjectionReport)
      status.report({ type: 'read', events: 0, scannedTo: position, head } as unknown as ProjectionReport)
    },
  }
}
const why = new Error('the disk is asleep')

test('a change that says the same leaves the same object and tells no listener', () => {
  const { status, now, told } = keeper()
  status.set({ position: 2, head: 5, message: 'so' })
  const before = now()
  status.set({ position: 2, message: 'so' })
  status.set({ head: 5 })
  expect([now() === before, told()]).toEqual([true, 1])
  status.set({ message: undefined })
  expect(now()).not.toHaveProperty('message')
  expect(told()).toBe(2)
})

test('the head is never before the position, so behind is never negative', () => {
  const { status, now } = keeper()
  status.set({ position: 7 })
  expect(now()).toMatchObject({ position: 7, head: 7, behind: 0 })
  status.set({ head: 3 })
  expect(now()).toMatchObject({ position: 7, head: 7, behind: 0 })
  status.set({ head: 9 })
  expect(now()).toMatchObject({ head: 9, behind: 2 })
})

test('the error of one look that failed goes with the next one that succeeds, for a follower, stalled or not', async () => {
  for (const stalled of [false, true]) {
    const { clock, status, now, report, look } = keeper()
    report({ type: 'waiting' })
    look({ position: 1 }, 5)
    status.set({ message: why.message, lastError: why })
    if (stalled) await clock.advance(6_000)
    look({ position: 1 }, 5)
    expect(now().phase).toBe(stalled ? 'stalled' : 'standby')
    expect(now()).not.toHaveProperty('lastError')
  }
})

test('the error that a run here reported stays, whatever a look shows, until the run gets on', async () => {
  const { clock, now, report, look, lead } = keeper()
  lead(1, 5)
  report({ type: 'event-failed', position: 2, error: why })
  await clock.advance(6_000)
  look({ position: 1 }, 5)
  expect(now()).toMatchObject({ phase: 'stalled', lastError: why })
  look({ position: 1 }, 5)
  expect(now()).toMatchObject({ lastError: why })
  report({ type: 'committed', position: 2, events: 1 })
  expect(now()).not.toHaveProperty('lastError')
})

test('a run that faulted or was stopped is shown as that, whatever a look shows', () => {
  for (const phase of ['faulted', 'stopped'] as const) {
    const { status, now, look } = keeper()
    status.set({ phase, lastError: why })
    look({ position: 3, paused: true, letters: 2 }, 5)
    expect(now()).toMatchObject({ phase, lastError: why, position: 3, head: 5, deadLetterCount: 2 })
  }
})

test('a look that began before the run here told where it is does not take that back', () => {
  const { now, look, lead, report } = keeper()
  lead(1, 9)
  report({ type: 'committed', position: 4, events: 3 })
  look({ position: 1, owner: 'me', letters: 8 }, 10, true)
  expect(now()).toMatchObject({ position: 4, head: 10, owner: 'me', deadLetterCount: 0, phase: 'catching-up' })
})

test('what is quiet at the head does not stall, however long', async () => {
  const { clock, now, look, report } = keeper()
  report({ type: 'waiting' })
  look({ position: 5 }, 5)
  await clock.advance(60_000)
  look({ position: 5 }, 5)
  expect(now().phase).toBe('standby')
})

test('what moves does not stall: forwards, or back to the beginning of a rebuild', async () => {
  const { clock, now, look, report } = keeper()
  report({ type: 'waiting' })
  look({ position: 5 }, 9)
  for (const position of [0, 1, 2, 3]) {
    await clock.advance(4_000)
    look({ position: 5, rebuild: { position } as never }, 9)
    expect(now()).toMatchObject({ phase: 'standby', rebuilding: { position } })
  }
  await clock.advance(5_000)
  look({ position: 5, rebuild: { position: 3 } as never }, 9)
  expect(now()).toMatchObject({ phase: 'stalled', message: expect.stringMatching(/position 3 .*for 5 s\./) })
})

test('an event that is tried again shows as that: neither a page nor a look hides it', async () => {
  const { clock, now, look, lead, report } = keeper()
  lead(1, 5)
  report({ type: 'retrying', position: 2, error: why })
  report({ type: 'read', events: 1, scannedTo: 2, head: 6 })
  expect(now()).toMatchObject({
    phase: 'retrying',
    head: 6,
    lastError: why,
    message: expect.stringContaining('event at position 2'),
  })
  await clock.advance(60_000)
  look({ position: 1 }, 6)
  expect(now()).toMatchObject({ phase: 'retrying' })
  report({ type: 'committed', position: 6, events: 5 })
  expect(now()).toMatchObject({ phase: 'live' })
})

test('a commit that says nothing of dead letters leaves their number', () => {
  const { now, lead, look, report } = keeper()
  lead(1, 5)
  look({ position: 1, letters: 3 }, 5)
  report({ type: 'committed', position: 2, events: 1 })
  expect(now().deadLetterCount).toBe(3)
  report({ type: 'committed', position: 3, events: 1, deadLetterCount: 4 })
  expect(now().deadLetterCount).toBe(4)
})

test('the rate is that of the last seconds, is measured again after a step back, and is 0 at the end', async () => {
  const { clock, now, lead, report } = keeper()
  lead(10, 100)
  await clock.advance(1_000)
  report({ type: 'committed', position: 60, events: 50 })
  expect(now().rate).toBe(50)
  report({ type: 'loaded', position: 0, paused: false, rebuilding: true })
  await clock.advance(1_000)
  report({ type: 'committed', position: 20, events: 20 })
  expect(now()).toMatchObject({ rate: 20, position: 60, rebuilding: { position: 20 } })
  await clock.advance(10_000)
  report({ type: 'committed', position: 60, events: 40 })
  await clock.advance(1_000)
  report({ type: 'committed', position: 61, events: 1 })
  expect(now().rate).toBe(1)
  report({ type: 'idle', position: 100 })
  expect(now()).toMatchObject({ phase: 'live', rate: 0, position: 100 })
  expect(now()).not.toHaveProperty('rebuilding')
})

test('N123: an append after a long rest does not stall, for a follower and for a leader', async () => {
  for (const leads of [false, true]) {
    const { clock, now, look, lead, report } = keeper()
    if (leads) lead(5)
    else report({ type: 'waiting' })
    look({ position: 5 }, 5)
    await clock.advance(60_000)
    if (leads) report({ type: 'read', events: 1, scannedTo: 6, head: 6 })
    look({ position: 5 }, 6)
    expect(now()).toMatchObject({ phase: leads ? 'catching-up' : 'standby', behind: 1 })
    await clock.advance(5_000)
    look({ position: 5 }, 6)
    expect(now()).toMatchObject({ phase: 'stalled', message: expect.stringContaining('for 5 s.') })
  }
})
