// The machine alone, stepped by hand: no clock, no storage, no promise.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { EventCrashesError, EventUnreadableError, LeadershipLostError } from '../../../src/errors.js'
import type { RecordedEvent } from '../../../src/events/event.js'
import { settle, type ProjectionConfig } from '../../../src/projection/config.js'
import { newRun, projectionMachine, type Effect, type EffectResults } from '../../../src/projection/machine.js'
import type { ProjectionResult } from '../../../src/projection/projector.js'
import type { ProjectionState } from '../../../src/projection/target.js'

const event = (position: number): RecordedEvent => ({ type: 'A', data: null, stream: 's', version: position, position, id: `id-${position}`, time: 0 })
const eventsBetween = (after: number, to: number) => Array.from({ length: Math.max(0, to - after) }, (_, at) => event(after + at + 1))

function machine(config: ProjectionConfig<never> = {}, mode: 'batch' | 'continuous' = 'batch') {
  const run = newRun()
  const steps = projectionMachine('p', settle(config, mode), () => 0, run)
  let next = steps.next()
  return {
    run,
    /** The effect that is asked for; reports are answered on the way. */
    get effect(): Effect | ProjectionResult {
      while (next.done !== true && next.value.kind === 'report') next = steps.next(undefined as never)
      return next.value
    },
    /** Answers the effect, which must be of that kind. */
    answer<K extends Effect['kind']>(kind: K, result: EffectResults[K]) {
      expect(this.effect).toMatchObject({ kind })
      next = steps.next(result as never)
    },
    loaded(position = 0, paused = false, more: Pick<ProjectionState, 'unclean' | 'trying' | 'skipped'> & { held?: ReadonlySet<string> } = {}) {
      this.answer('load-checkpoint', { value: { position, paused, rebuilding: false, now: 0, ...more } })
    },
    read(after: number, to: number, head = to, now = 0) {
      this.answer('read-events', { value: { events: eventsBetween(after, to), scannedTo: to, head, now } })
    },
    applied(next: number, now = 0) {
      this.answer('apply', { next, now, aborted: false })
    },
    committed(now = 0, { paused = false, took = 0, pouring = false } = {}) {
      this.answer('commit', { value: { paused, now, took, pouring } })
    },
  }
}

test('P28: a batch loads, reads, applies, commits, and is done', () => {
  const it = machine()
  it.loaded(2)
  expect(it.effect).toEqual({ kind: 'read-events', after: 2, limit: 4096, most: 8192 })
  it.read(2, 5)
  expect(it.effect).toEqual({ kind: 'apply', from: 0, to: 3 })
  it.applied(3)
  expect(it.effect).toEqual({ kind: 'commit', position: 5, caughtUp: true, events: 3 })
  it.committed()
  expect(it.effect).toEqual({ position: 5, applied: 3, skipped: 0, parked: 0, reason: 'caught-up' })
})

test('W6: a page in which nothing matched is committed as looked at', () => {
  const it = machine()
  it.loaded()
  it.answer('read-events', { value: { events: [], scannedTo: 900, head: 900, now: 0 } })
  expect(it.effect).toMatchObject({ kind: 'commit', position: 900, events: 0 })
})

test('W8: while behind, pages follow without a sleep, and one commit serves many of them', () => {
  const it = machine({}, 'continuous')
  it.loaded()
  for (let page = 0; page < 3; page += 1) {
    it.read(page * 10, (page + 1) * 10, 1000, page)
    it.applied(10, page)
  }
  expect(it.effect).toMatchObject({ kind: 'read-events', after: 30 })
  it.read(30, 40, 1000, 500)
  it.applied(10, 500)
  expect(it.effect).toEqual({ kind: 'commit', position: 40, caughtUp: false, events: 40 })
})

test('W7: idle waits double up to five seconds, and begin anew after events', () => {
  const it = machine({ poll: { emptyBackoff: 50 } }, 'continuous')
  it.loaded()
  const waits: number[] = []
  for (let poll = 0; poll < 9; poll += 1) {
    it.read(0, 0)
    waits.push((it.effect as { ms: number }).ms)
    it.answer('sleep', 'on')
  }
  expect(waits).toEqual([50, 100, 200, 400, 800, 1600, 3200, 5000, 5000])
  it.read(0, 1)
  it.applied(1)
  it.committed()
  expect(it.effect).toMatchObject({ kind: 'sleep', ms: 50, why: 'idle' })
})

test('N18: what came before a failing event is committed before its policy is asked', () => {
  const it = machine()
  it.loaded()
  it.read(0, 5)
  it.answer('apply', { next: 2, failure: { error: new Error('three'), storage: false }, now: 0, aborted: false })
  expect(it.effect).toMatchObject({ kind: 'commit', position: 2, events: 2 })
  it.committed()
  expect(it.effect).toMatchObject({ kind: 'decide', event: { position: 3 }, retryCount: 0 })
  it.answer('decide', { strategy: 'park' })
  it.answer('park', undefined)
  expect(it.effect).toEqual({ kind: 'apply', from: 3, to: 5 })
  it.applied(5)
  it.committed()
  expect(it.effect).toMatchObject({ position: 5, applied: 4, parked: 1 })
})

test('N40: a pause takes effect after the commit that sees it; a control makes it look again', () => {
  const it = machine({ batch: { maxEvents: 2 } }, 'continuous')
  it.loaded()
  it.read(0, 5)
  it.applied(2)
  it.committed(0, { paused: true })
  expect(it.effect).toMatchObject({ kind: 'sleep', why: 'paused' })
  it.answer('sleep', 'control')
  it.answer('look', { paused: false, moved: false, now: 0 })
  it.loaded(2)
  expect(it.effect).toMatchObject({ kind: 'read-events', after: 2 })
})

describe('N4: a commit that failed', () => {
  test.for([['happened all the same', 3, 3], ['did not happen', 0, 0]] as const)('%s: the storage decides what counts', ([, position, applied]) => {
    const it = machine()
    it.loaded()
    it.read(0, 3)
    it.applied(3)
    it.answer('commit', { error: new Error('no answer') })
    it.answer('reset', undefined)
    it.answer('sleep', 'on')
    it.loaded(position)
    expect(it.run).toMatchObject({ position, applied })
    expect(it.effect).toMatchObject({ kind: 'read-events', after: position })
  })
})

test('N13: a lost compare ends the machine with that error, and what was not stored is not counted', () => {
  const it = machine()
  it.loaded()
  it.read(0, 3)
  it.applied(3)
  expect(() => it.answer('commit', { error: new LeadershipLostError('p', 'another epoch') })).toThrow(LeadershipLostError)
  expect(it.run).toMatchObject({ position: 0, applied: 0 })
})

test('whatever fails whenever: every event is applied or set aside once, in order, and the counts are of what is stored', () => {
  const boom = new Error('boom')
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 60 }), fc.constantFrom(1, 3, 1000), fc.infiniteStream(fc.integer({ min: 0, max: 99 })), (head, maxEvents, dice) => {
      const chance = (percent: number) => (dice.next().value as number) < percent
      const run = newRun()
      const steps = projectionMachine('p', settle({ batch: { maxEvents }, retry: { maxAttempts: 2 } }, 'continuous'), () => 0, run)
      /** A storage as simple as can be: what was done since the last commit, and what is stored. */
      let pending: { position: number; how: 'applied' | 'skipped' | 'parked' }[] = []
      const stored: typeof pending = []
      let checkpoint = 0
      let page: RecordedEvent[] = []
      const answers: { [K in Effect['kind']]: (effect: Extract<Effect, { kind: K }>, now: number) => unknown } = {
        'load-checkpoint': (_effect, now) => {
          pending = []
          return chance(10) ? { error: boom } : { value: { position: checkpoint, paused: false, rebuilding: false, now } }
        },
        'read-events': ({ after }, now) => {
          page = eventsBetween(after, Math.min(head, after + 7))
          return chance(10) ? { error: boom } : { value: { events: page, scannedTo: after + page.length, head, now } }
        },
        apply: ({ from, to }, now) => {
          let next = from
          while (next < to && !chance(15)) pending.push({ position: (page[next++] as RecordedEvent).position, how: 'applied' })
          return next < to ? { next, failure: { error: boom, storage: chance(20) }, now, aborted: false } : { next, now, aborted: false }
        },
        decide: ({ event }) => {
          const strategy = chance(40) ? 'retry' : chance(50) ? 'skip' : 'park'
          if (strategy !== 'retry') pending.push({ position: event.position, how: strategy === 'skip' ? 'skipped' : 'parked' })
          return { strategy }
        },
        park: () => undefined,
        try: () => ({ value: undefined }),
        survived: () => undefined,
        look: (_effect, now) => (chance(10) ? undefined : { paused: false, moved: chance(50), now }),
        commit: ({ position }, now) => {
          expect(position).toBeGreaterThanOrEqual(checkpoint)
          expect(position).toBeLessThanOrEqual(head)
          if (chance(15)) return { error: boom }
          stored.push(...pending)
          pending = []
          checkpoint = position
          return chance(10) ? { error: boom } : { value: { paused: false, now, took: 20, pouring: chance(50) } }
        },
        sleep: () => (chance(5) ? 'control' : chance(50) ? 'append' : 'on'),
        reset: () => void (pending = []),
        report: () => undefined,
      }
      let given: unknown
      for (let step = 0; step < 400; step += 1) {
        let next: ReturnType<typeof steps.next>
        try {
          next = steps.next(given as never)
        } catch (error) {
          // Retries that ran out.
          expect(error).toMatchObject({ code: 'failed', attempts: 3 })
          break
        }
        const effect = next.value as Effect
        if (effect.kind === 'sleep' && effect.why === 'idle') {
          const count = (how: string) => stored.filter((each) => each.how === how).length
          expect(run).toMatchObject({ position: checkpoint, applied: count('applied'), skipped: count('skipped'), parked: count('parked') })
          expect(checkpoint).toBe(head)
        }
        given = (answers[effect.kind] as (effect: Effect, now: number) => unknown)(effect, step)
      }
      expect(stored.map(({ position }) => position)).toEqual(eventsBetween(0, checkpoint).map(({ position }) => position))
    }),
    { numRuns: 300 },
  )
})

const turns = (from: number, to: number) => eventsBetween(from, to).map((each) => ({ ...each, stream: each.position % 2 === 0 ? 's' : 't' }))

test('N22: events of a held stream are parked without being tried, and applying stops before each', () => {
  const it = machine()
  it.loaded(0, false, { held: new Set(['s']) })
  it.answer('read-events', { value: { events: turns(0, 4), scannedTo: 4, head: 4, now: 0 } })
  for (const position of [1, 3]) {
    expect(it.effect).toEqual({ kind: 'apply', from: position - 1, to: position })
    it.applied(position)
    expect(it.effect).toMatchObject({ kind: 'park', event: { position: position + 1 }, error: { code: 'stream-held', stream: 's' }, attempts: 0, holdsStream: true })
    it.answer('park', undefined)
  }
  expect(it.effect).toEqual({ kind: 'commit', position: 4, caughtUp: true, events: 4 })
  it.committed()
  expect(it.effect).toMatchObject({ applied: 2, parked: 2 })
})

test('N22: an event that is parked with its stream holds it from then on, an unreadable one as well, and a reload knows what is stored', () => {
  const it = machine({}, 'continuous')
  it.loaded()
  it.answer('read-events', { value: { events: turns(0, 4), unreadable: [new EventUnreadableError(2, 'no')], scannedTo: 4, head: 8, now: 0 } })
  it.applied(1)
  it.committed()
  it.answer('decide', { strategy: 'park-stream' })
  expect(it.effect).toMatchObject({ kind: 'park', attempts: 1, holdsStream: true })
  it.answer('park', undefined)
  expect(it.effect).toEqual({ kind: 'apply', from: 2, to: 3 })
  it.applied(3)
  expect(it.effect).toMatchObject({ kind: 'park', event: { position: 4 }, attempts: 0 })
  it.answer('park', undefined)
  // Nothing of that was stored.
  it.answer('read-events', { error: new Error('gone') })
  it.answer('sleep', 'control')
  it.loaded(1)
  it.answer('read-events', { value: { events: turns(1, 4), scannedTo: 4, head: 4, now: 0 } })
  expect(it.effect).toEqual({ kind: 'apply', from: 0, to: 3 })
})

test('N19: after two runs that ended without a word, commits are small until the projection has caught up', () => {
  const it = machine()
  it.loaded(0, false, { unclean: { position: 0, ends: 2 } })
  it.read(0, 100)
  expect(it.effect).toEqual({ kind: 'apply', from: 0, to: 64 })
  it.applied(64)
  expect(it.effect).toEqual({ kind: 'commit', position: 64, caughtUp: false, events: 64, ends: 2 })
  it.committed()
  expect(it.effect).toEqual({ kind: 'apply', from: 64, to: 100 })
  it.applied(100)
  expect(it.effect).toMatchObject({ kind: 'commit', position: 100, caughtUp: true })
})

test('N19: after one more each event is noted and applied alone, 64 of them, and nothing is prepared', () => {
  const it = machine({}, 'continuous')
  it.loaded(0, false, { unclean: { position: 0, ends: 3 } })
  expect(it.effect).toEqual({ kind: 'read-events', after: 0, limit: 4096, most: 0 })
  it.read(0, 200)
  for (let position = 1; position <= 64; position += 1) {
    expect(it.effect).toEqual({ kind: 'try', position })
    it.answer('try', { value: undefined })
    expect(it.effect).toEqual({ kind: 'apply', from: position - 1, to: position })
    it.applied(position)
    expect(it.effect).toEqual({ kind: 'commit', position, caughtUp: false, events: 1, ends: position < 64 ? 3 : 2 })
    it.committed()
  }
  expect(it.effect).toEqual({ kind: 'apply', from: 64, to: 128 })
})

test('N19: who waits before a retry takes the note back, and makes it again', () => {
  const it = machine()
  it.loaded(0, false, { unclean: { position: 0, ends: 3 } })
  it.read(0, 1)
  it.answer('try', { value: undefined })
  it.answer('apply', { next: 0, failure: { error: new Error('x'), storage: false }, now: 0, aborted: false })
  it.answer('decide', { strategy: 'retry' })
  it.answer('survived', undefined)
  it.answer('sleep', 'on')
  it.read(0, 1)
  it.answer('try', { value: undefined })
  it.applied(1)
  it.answer('commit', { error: new Error('full') })
  it.answer('reset', undefined)
  it.answer('survived', undefined)
  expect(it.effect).toMatchObject({ kind: 'sleep', why: 'failed' })
})

test('N39: what was applied is committed when an abort comes while the next page is read, or while reading it is tried again', () => {
  for (const outcome of ['aborted', { error: new Error('reads fail') }] as const) {
    const it = machine()
    it.loaded()
    it.read(0, 3, 9)
    it.applied(3)
    it.answer('read-events', outcome)
    if (outcome !== 'aborted') it.answer('sleep', 'aborted')
    expect(it.effect).toMatchObject({ kind: 'commit', position: 3, events: 3 })
    it.committed()
    expect(it.effect).toMatchObject({ reason: 'aborted', position: 3, applied: 3 })
  }
})

test('P29: where each event is stored by itself, those before a save that failed count as applied, and that one if it was stored after all (N4)', () => {
  for (const { stored, applied } of [{ stored: 2, applied: 2 }, { stored: 3, applied: 3 }, { stored: 0, applied: 0 }]) {
    const it = machine()
    it.loaded()
    it.read(0, 5)
    it.answer('apply', { next: 2, failure: { error: new Error('full'), storage: true }, now: 0, aborted: false })
    it.answer('reset', undefined)
    it.answer('sleep', 'on')
    it.loaded(stored)
    expect(it.run).toMatchObject({ position: stored, applied })
  }
})

test('N22, N41: what was left out by hand is left out again before it is applied, also in a stream that is held', () => {
  const it = machine()
  it.loaded(0, false, { skipped: [2], held: new Set() })
  it.read(0, 3)
  expect(it.effect).toEqual({ kind: 'apply', from: 0, to: 1 })
  it.applied(1)
  expect(it.effect).toEqual({ kind: 'apply', from: 2, to: 3 })
  const behind = machine()
  behind.loaded(0, false, { skipped: [1], held: new Set(['s']) })
  behind.read(0, 2)
  expect(behind.effect).toMatchObject({ kind: 'park', event: { position: 2 } })
})

test('N19: an event that one run died of is tried once more, one that two died of is not, and retry counts as fatal', () => {
  const once = machine()
  once.loaded(36, false, { trying: { position: 37, runs: 1 } })
  once.read(36, 40)
  expect(once.effect).toEqual({ kind: 'try', position: 37 })

  const twice = machine()
  twice.loaded(36, false, { trying: { position: 37, runs: 2 } })
  twice.read(36, 40)
  expect(twice.effect).toMatchObject({ kind: 'decide', event: { position: 37 }, error: { code: 'event-crashes', position: 37 }, retryCount: 0 })
  expect(() => twice.answer('decide', { strategy: 'retry' })).toThrow(expect.objectContaining({ code: 'failed', position: 37, cause: expect.any(EventCrashesError) }))
})

test('N19: an event that is blamed and parked is out of the way, and those after it are applied alone for a while', () => {
  const it = machine()
  it.loaded(36, false, { trying: { position: 37, runs: 2 } })
  it.read(36, 39)
  it.answer('decide', { strategy: 'park' })
  it.answer('park', undefined)
  expect(it.effect).toEqual({ kind: 'commit', position: 37, caughtUp: false, events: 1 })
  it.committed()
  expect(it.effect).toEqual({ kind: 'try', position: 38 })
})

test('N19: where an event cannot be noted it is not applied, and the pause is that of storing', () => {
  const it = machine()
  it.loaded(0, false, { unclean: { position: 0, ends: 3 } })
  it.read(0, 1)
  it.answer('try', { error: new Error('full') })
  it.answer('reset', undefined)
  expect(it.effect).toMatchObject({ kind: 'sleep', why: 'failed' })
  it.answer('sleep', 'on')
  expect(it.effect).toMatchObject({ kind: 'load-checkpoint' })

  const lost = machine()
  lost.loaded(0, false, { unclean: { position: 0, ends: 3 } })
  lost.read(0, 1)
  expect(() => lost.answer('try', { error: new LeadershipLostError('p', 'another epoch') })).toThrow(LeadershipLostError)
})

test('while behind, commits take a tenth of the time at most: after a slow one the next comes later', () => {
  const it = machine()
  it.loaded()
  it.read(0, 1000, 5000, 0)
  it.applied(1000, 300)
  // 300 ms after the first work; it takes 100 ms.
  expect(it.effect).toMatchObject({ kind: 'commit', position: 1000 })
  it.committed(400, { took: 100 })
  it.read(1000, 2000, 5000, 400)
  it.applied(1000, 1299)
  expect(it.effect).toMatchObject({ kind: 'read-events', after: 2000 })
  it.read(2000, 3000, 5000, 1299)
  it.applied(1000, 1300)
  expect(it.effect).toMatchObject({ kind: 'commit', position: 3000 })
})

test('batch.maxTime is kept however slow commits are', () => {
  const it = machine({ batch: { maxTime: 200 } })
  it.loaded()
  it.read(0, 1000, 5000, 0)
  it.applied(1000, 200)
  it.committed(1200, { took: 1000 })
  it.read(1000, 2000, 5000, 1200)
  it.applied(1000, 1400)
  expect(it.effect).toMatchObject({ kind: 'commit', position: 2000 })
})

/** A run in which events came in while the first commit was stored, which took 20 ms. */
function pouring(batch = {}) {
  const it = machine({ mode: 'continuous', batch })
  it.loaded()
  it.read(0, 1)
  it.applied(1)
  it.committed(100, { took: 20, pouring: true })
  expect(it.effect).toMatchObject({ kind: 'sleep', why: 'idle' })
  it.answer('sleep', 'append')
  return it
}

test('while events pour in, those that follow within the time of a commit go into the same one, until commits take a tenth of the time', () => {
  const it = pouring()
  for (const [position, now] of [[2, 100], [3, 115], [4, 279]] as const) {
    it.read(position - 1, position, position, now)
    it.applied(1, now)
    expect(it.effect).toEqual({ kind: 'sleep', ms: 20, why: 'pouring' })
    it.answer('sleep', 'append')
  }
  it.read(4, 5, 5, 280)
  it.applied(1, 280)
  expect(it.effect).toEqual({ kind: 'commit', position: 5, caughtUp: true, events: 4 })
})

test('what comes last is committed when nothing followed, and what comes alone at once', () => {
  const it = pouring()
  it.read(1, 2, 2, 100)
  it.applied(1, 100)
  it.answer('sleep', 'on')
  expect(it.effect).toEqual({ kind: 'commit', position: 2, caughtUp: true, events: 1 })
  it.committed(140, { took: 20 })
  it.answer('sleep', 'append')
  it.read(2, 3, 3, 200)
  it.applied(1, 200)
  expect(it.effect).toEqual({ kind: 'commit', position: 3, caughtUp: true, events: 1 })
})

test('a run that is ended while it waits for more stores what it has', () => {
  const it = pouring()
  it.read(1, 2, 2, 100)
  it.applied(1, 100)
  it.answer('sleep', 'aborted')
  expect(it.effect).toEqual({ kind: 'commit', position: 2, caughtUp: true, events: 1 })
  it.committed(140, { took: 20 })
  expect(it.effect).toMatchObject({ position: 2, applied: 2, reason: 'aborted' })
})

test('batch.maxTime bounds that wait, too', () => {
  const it = pouring({ maxTime: 0 })
  it.read(1, 2, 2, 100)
  it.applied(1, 100)
  expect(it.effect).toMatchObject({ kind: 'commit', position: 2 })
})
