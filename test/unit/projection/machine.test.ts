// The machine alone, stepped by hand: no clock, no storage, no promise.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  ClosedError,
  PoisonEventError,
  EventUnreadableError,
  LogInconsistentError,
  LeadershipLostError,
  StorageLostError,
} from '../../../src/errors.js'
import type { RecordedEvent } from '../../../src/events/event.js'
import { settle, type ProjectionOptions } from '../../../src/projection/config.js'
import { newRun } from '../../../src/projection/batching.js'
import type { Effect, EffectResults } from '../../../src/projection/effects.js'
import { projectionMachine } from '../../../src/projection/machine.js'
import type { ProjectionResult } from '../../../src/projection/projector.js'
import type { ProjectionState } from '../../../src/projection/target.js'

const event = (position: number): RecordedEvent => ({
  type: 'A',
  data: null,
  stream: 's',
  version: position,
  position,
  id: `id-${position}`,
  time: 0,
})
const eventsBetween = (after: number, to: number) =>
  Array.from({ length: Math.max(0, to - after) }, (_, at) => event(after + at + 1))

function machine(config: ProjectionOptions = {}, mode: 'batch' | 'continuous' = 'batch') {
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
    loaded(
      position = 0,
      paused = false,
      more: Pick<ProjectionState, 'unclean' | 'trying' | 'skipped' | 'carried'> & {
        blocked?: ReadonlySet<string>
        rebuilding?: boolean
        now?: number
      } = {},
    ) {
      this.answer('load-checkpoint', { value: { position, paused, rebuilding: false, now: 0, ...more } })
    },
    read(after: number, to: number, head = to, now = 0) {
      this.answer('read-events', { value: { events: eventsBetween(after, to), scannedTo: to, head, now } })
    },
    applied(next: number, now = 0) {
      this.answer('apply', { next, now, aborted: false })
    },
    committed(now = 0, { paused = false, took = 0, burst = false } = {}) {
      this.answer('commit', { value: { paused, now, took, burst } })
    },
  }
}

test('P28: a batch loads, reads, applies, commits, and is done', () => {
  const it = machine()
  it.loaded(2)
  expect(it.effect).toEqual({ kind: 'read-events', after: 2, limit: 4096, most: 32_768 })
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
  it.answer('read-state', { paused: false, moved: false, now: 0 })
  it.loaded(2)
  expect(it.effect).toMatchObject({ kind: 'read-events', after: 2 })
})

describe('N4: a commit that failed', () => {
  test.for([
    ['happened all the same', 3, 3],
    ['did not happen', 0, 0],
  ] as const)('%s: the storage decides what counts', ([, position, applied]) => {
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
  expect(() => it.answer('commit', { error: new LeadershipLostError('p', 'another epoch') })).toThrow(
    LeadershipLostError,
  )
  expect(it.run).toMatchObject({ position: 0, applied: 0 })
})

test('whatever fails whenever: every event is applied or set aside once, in order, and the counts are of what is stored', () => {
  const boom = new Error('boom')
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 60 }),
      fc.constantFrom(1, 3, 1000),
      fc.infiniteStream(fc.integer({ min: 0, max: 99 })),
      (head, maxEvents, dice) => {
        const chance = (percent: number) => (dice.next().value as number) < percent
        const run = newRun()
        const steps = projectionMachine(
          'p',
          settle({ batch: { maxEvents }, retry: { maxRetries: 2 } }, 'continuous'),
          () => 0,
          run,
        )
        /** A storage as simple as can be: what was done since the last commit, and what is stored. */
        let pending: { position: number; how: 'applied' | 'skipped' | 'parked' }[] = []
        const stored: typeof pending = []
        let checkpoint = 0
        let page: RecordedEvent[] = []
        const answers: { [K in Effect['kind']]: (effect: Extract<Effect, { kind: K }>, now: number) => unknown } = {
          'load-checkpoint': (_effect, now) => {
            pending = []
            return chance(10)
              ? { error: boom }
              : { value: { position: checkpoint, paused: false, rebuilding: false, now } }
          },
          'read-events': ({ after }, now) => {
            page = eventsBetween(after, Math.min(head, after + 7))
            return chance(10) ? { error: boom } : { value: { events: page, scannedTo: after + page.length, head, now } }
          },
          apply: ({ from, to }, now) => {
            let next = from
            while (next < to && !chance(15))
              pending.push({ position: (page[next++] as RecordedEvent).position, how: 'applied' })
            return next < to
              ? { next, failure: { error: boom, storage: chance(20) }, now, aborted: false }
              : { next, now, aborted: false }
          },
          decide: ({ event }) => {
            const strategy = chance(40) ? 'retry' : chance(50) ? 'skip' : 'park'
            if (strategy !== 'retry')
              pending.push({ position: event.position, how: strategy === 'skip' ? 'skipped' : 'parked' })
            return { strategy }
          },
          park: () => undefined,
          try: () => ({ value: undefined }),
          survived: () => undefined,
          'read-state': (_effect, now) => (chance(10) ? undefined : { paused: false, moved: chance(50), now }),
          commit: ({ position }, now) => {
            expect(position).toBeGreaterThanOrEqual(checkpoint)
            expect(position).toBeLessThanOrEqual(head)
            if (chance(15)) return { error: boom }
            stored.push(...pending)
            pending = []
            checkpoint = position
            return chance(10) ? { error: boom } : { value: { paused: false, now, took: 20, burst: chance(50) } }
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
            expect(error).toMatchObject({ code: 'projection-failed', attempts: 3 })
            break
          }
          const effect = next.value as Effect
          if (effect.kind === 'sleep' && effect.why === 'idle') {
            const count = (how: string) => stored.filter((each) => each.how === how).length
            expect(run).toMatchObject({
              position: checkpoint,
              applied: count('applied'),
              skipped: count('skipped'),
              parked: count('parked'),
            })
            expect(checkpoint).toBe(head)
          }
          given = (answers[effect.kind] as (effect: Effect, now: number) => unknown)(effect, step)
        }
        expect(stored.map(({ position }) => position)).toEqual(
          eventsBetween(0, checkpoint).map(({ position }) => position),
        )
      },
    ),
    { numRuns: 300 },
  )
})

const turns = (from: number, to: number) =>
  eventsBetween(from, to).map((each) => ({ ...each, stream: each.position % 2 === 0 ? 's' : 't' }))

test('N22: events of a held stream are parked without being tried, and applying stops before each', () => {
  const it = machine()
  it.loaded(0, false, { blocked: new Set(['s']) })
  it.answer('read-events', { value: { events: turns(0, 4), scannedTo: 4, head: 4, now: 0 } })
  for (const position of [1, 3]) {
    expect(it.effect).toEqual({ kind: 'apply', from: position - 1, to: position })
    it.applied(position)
    expect(it.effect).toMatchObject({
      kind: 'park',
      event: { position: position + 1 },
      error: { code: 'stream-blocked', stream: 's' },
      attempts: 0,
      blocksStream: true,
    })
    it.answer('park', undefined)
  }
  expect(it.effect).toEqual({ kind: 'commit', position: 4, caughtUp: true, events: 4 })
  it.committed()
  expect(it.effect).toMatchObject({ applied: 2, parked: 2 })
})

test('N22: an event that is parked with its stream holds it from then on, an unreadable one as well, and a reload knows what is stored', () => {
  const it = machine({}, 'continuous')
  it.loaded()
  it.answer('read-events', {
    value: { events: turns(0, 4), unreadable: [new EventUnreadableError(2, 'no')], scannedTo: 4, head: 8, now: 0 },
  })
  it.applied(1)
  it.committed()
  it.answer('decide', { strategy: 'park-stream' })
  expect(it.effect).toMatchObject({ kind: 'park', attempts: 1, blocksStream: true })
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
  for (const { stored, applied } of [
    { stored: 2, applied: 2 },
    { stored: 3, applied: 3 },
    { stored: 0, applied: 0 },
  ]) {
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
  it.loaded(0, false, { skipped: [2], blocked: new Set() })
  it.read(0, 3)
  expect(it.effect).toEqual({ kind: 'apply', from: 0, to: 1 })
  it.applied(1)
  expect(it.effect).toEqual({ kind: 'apply', from: 2, to: 3 })
  const behind = machine()
  behind.loaded(0, false, { skipped: [1], blocked: new Set(['s']) })
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
  expect(twice.effect).toMatchObject({
    kind: 'decide',
    event: { position: 37 },
    error: { code: 'poison-event', position: 37 },
    retryCount: 0,
  })
  expect(() => twice.answer('decide', { strategy: 'retry' })).toThrow(
    expect.objectContaining({ code: 'projection-failed', position: 37, cause: expect.any(PoisonEventError) }),
  )
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
  expect(() => lost.answer('try', { error: new LeadershipLostError('p', 'another epoch') })).toThrow(
    LeadershipLostError,
  )
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
function burst(batch = {}) {
  const it = machine({ mode: 'continuous', batch })
  it.loaded()
  it.read(0, 1)
  it.applied(1)
  it.committed(100, { took: 20, burst: true })
  expect(it.effect).toMatchObject({ kind: 'sleep', why: 'idle' })
  it.answer('sleep', 'append')
  return it
}

test('while events pour in, those that follow within the time of a commit go into the same one, until commits take a tenth of the time', () => {
  const it = burst()
  for (const [position, now] of [
    [2, 100],
    [3, 115],
    [4, 279],
  ] as const) {
    it.read(position - 1, position, position, now)
    it.applied(1, now)
    expect(it.effect).toEqual({ kind: 'sleep', ms: 20, why: 'burst' })
    it.answer('sleep', 'append')
  }
  it.read(4, 5, 5, 280)
  it.applied(1, 280)
  expect(it.effect).toEqual({ kind: 'commit', position: 5, caughtUp: true, events: 4 })
})

test('what comes last is committed when nothing followed, and what comes alone at once', () => {
  const it = burst()
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
  const it = burst()
  it.read(1, 2, 2, 100)
  it.applied(1, 100)
  it.answer('sleep', 'aborted')
  expect(it.effect).toEqual({ kind: 'commit', position: 2, caughtUp: true, events: 1 })
  it.committed(140, { took: 20 })
  expect(it.effect).toMatchObject({ position: 2, applied: 2, reason: 'aborted' })
})

test('batch.maxTime bounds that wait, too', () => {
  const it = burst({ maxTime: 0 })
  it.read(1, 2, 2, 100)
  it.applied(1, 100)
  expect(it.effect).toMatchObject({ kind: 'commit', position: 2 })
})

describe('retries', () => {
  /** The event after `after` fails, and its policy is asked. */
  const fails = (it: ReturnType<typeof machine>, after: number, head: number, retryCount: number) => {
    it.read(after, head)
    it.answer('apply', { next: 0, failure: { error: new Error('no'), storage: false }, now: 0, aborted: false })
    expect(it.effect).toMatchObject({ kind: 'decide', event: { position: after + 1 }, retryCount })
    it.answer('decide', { strategy: 'retry' })
  }
  test('B9: each event has all of its own, whatever the one before it took', () => {
    const it = machine({ retry: { maxRetries: 3, delay: 10, jitter: 0 } }, 'continuous')
    it.loaded(4)
    for (const count of [0, 1]) {
      fails(it, 4, 6, count)
      expect(it.effect).toEqual({ kind: 'sleep', ms: 10 * 2 ** count, why: 'retrying' })
      it.answer('sleep', 'on')
    }
    it.read(4, 6)
    it.answer('apply', { next: 1, failure: { error: new Error('no'), storage: false }, now: 0, aborted: false })
    it.committed()
    expect(it.effect).toMatchObject({ kind: 'decide', event: { position: 6 }, retryCount: 0 })
    it.answer('decide', { strategy: 'retry' })
    expect(it.effect).toMatchObject({ kind: 'sleep', ms: 10 })
    it.answer('sleep', 'on')
    for (const count of [1, 2]) {
      fails(it, 5, 6, count)
      it.answer('sleep', 'on')
    }
    it.read(5, 6)
    it.answer('apply', { next: 0, failure: { error: new Error('no'), storage: false }, now: 0, aborted: false })
    expect(it.effect).toMatchObject({ kind: 'decide', retryCount: 3 })
    expect(() => it.answer('decide', { strategy: 'retry' })).toThrow(
      expect.objectContaining({ attempts: 4, position: 6 }),
    )
  })
  test('B9: a rebuild begins with all of them', () => {
    const it = machine({ retry: { maxRetries: 1 } }, 'continuous')
    it.loaded(4)
    fails(it, 4, 5, 0)
    it.answer('sleep', 'control')
    it.loaded(0, false, { rebuilding: true })
    it.read(0, 5)
    it.answer('apply', { next: 4, failure: { error: new Error('no'), storage: false }, now: 0, aborted: false })
    it.committed()
    expect(it.effect).toMatchObject({ kind: 'decide', event: { position: 5 }, retryCount: 0 })
  })
  test('a control in such a pause is heard: the state is loaded before the event is tried again', () => {
    const it = machine({}, 'continuous')
    it.loaded(4)
    fails(it, 4, 5, 0)
    it.answer('sleep', 'control')
    it.loaded(4, true)
    expect(it.effect).toMatchObject({ kind: 'sleep', why: 'paused' })
  })
  test('an abort in such a pause ends the run', () => {
    const it = machine({}, 'continuous')
    it.loaded(4)
    fails(it, 4, 5, 0)
    it.answer('sleep', 'aborted')
    expect(it.effect).toMatchObject({ reason: 'aborted', position: 4 })
  })
  test('pauses grow up to their cap', () => {
    const it = machine({ retry: { maxRetries: 9, delay: 100, multiplier: 3, maxDelay: 2000, jitter: 0 } }, 'continuous')
    it.loaded()
    const pauses: number[] = []
    for (let count = 0; count < 5; count += 1) {
      fails(it, 0, 1, count)
      pauses.push((it.effect as { ms: number }).ms)
      it.answer('sleep', 'on')
    }
    expect(pauses).toEqual([100, 300, 900, 2000, 2000])
  })
})

describe('a rebuild', () => {
  test('is complete also where nothing is to be moved: over an empty log, and where no event matches', () => {
    const it = machine({}, 'continuous')
    it.loaded(0, false, { rebuilding: true })
    it.answer('read-events', { value: { events: [], scannedTo: 0, head: 0, now: 0 } })
    expect(it.effect).toEqual({ kind: 'commit', position: 0, caughtUp: true, events: 0 })
    it.committed()
    expect(it.effect).toMatchObject({ kind: 'sleep', why: 'idle' })
  })
  test('N42: once complete it commits nothing more until something is appended', () => {
    const it = machine({}, 'continuous')
    it.loaded(0, false, { rebuilding: true })
    it.read(0, 3)
    it.applied(3)
    expect(it.effect).toMatchObject({ kind: 'commit', position: 3, caughtUp: true })
    it.committed()
    for (const woken of ['on', 'append', 'on'] as const) {
      it.answer('sleep', woken)
      it.answer('read-events', { value: { events: [], scannedTo: 3, head: 3, now: 0 } })
      expect(it.effect).toMatchObject({ kind: 'sleep', why: 'idle' })
    }
  })
  test('commits on its way that have not caught up leave it under way', () => {
    const it = machine({ batch: { maxEvents: 2 } }, 'continuous')
    it.loaded(0, false, { rebuilding: true })
    it.read(0, 4)
    it.applied(2)
    expect(it.effect).toMatchObject({ kind: 'commit', position: 2, caughtUp: false })
    it.committed()
    it.applied(4)
    expect(it.effect).toMatchObject({ kind: 'commit', position: 4, caughtUp: true })
  })
})

describe('a batch', () => {
  test('runs up to the head that it saw first, however the log grows', () => {
    const it = machine()
    it.loaded()
    it.read(0, 3, 5)
    it.applied(3)
    it.read(3, 5, 9)
    it.applied(2)
    expect(it.effect).toEqual({ kind: 'commit', position: 5, caughtUp: true, events: 5 })
    it.committed()
    expect(it.effect).toMatchObject({ reason: 'caught-up', position: 5, applied: 5 })
  })
  test('commits no further than that, although more was read', () => {
    const it = machine()
    it.loaded()
    it.read(0, 3, 5)
    it.applied(3)
    it.read(3, 9)
    expect(it.effect).toEqual({ kind: 'apply', from: 0, to: 2 })
    it.applied(2)
    expect(it.effect).toEqual({ kind: 'commit', position: 5, caughtUp: true, events: 5 })
    it.committed()
    expect(it.effect).toMatchObject({ reason: 'caught-up', position: 5, applied: 5 })
  })
  test('what was skipped and parked counts for its budget', () => {
    for (const strategy of ['skip', 'park'] as const) {
      const it = machine({ budget: { maxEvents: 2 } })
      it.loaded()
      it.read(0, 2, 9)
      for (const at of [0, 1]) {
        it.answer('apply', { next: at, failure: { error: new Error('no'), storage: false }, now: 0, aborted: false })
        if (at > 0) it.committed()
        it.answer('decide', { strategy })
        if (strategy === 'park') it.answer('park', undefined)
      }
      it.committed()
      expect(it.effect).toMatchObject({
        reason: 'budget',
        position: 2,
        [strategy === 'skip' ? 'skipped' : 'parked']: 2,
      })
    }
  })
  test('its budget of time counts from its start', () => {
    const it = machine({ budget: { maxTime: 100 } })
    it.loaded(0, false, { now: 50 })
    it.read(0, 4, 9, 60)
    it.applied(2, 149)
    it.applied(3, 151)
    expect(it.effect).toMatchObject({ kind: 'commit', position: 3 })
    it.committed(151)
    expect(it.effect).toMatchObject({ reason: 'budget', position: 3 })
  })
  test('ends where it is paused', () => {
    const it = machine()
    it.loaded(2, true)
    expect(it.effect).toMatchObject({ reason: 'paused', position: 2 })
  })
})

test('every unreadable event of a page is one', () => {
  const it = machine({}, 'continuous')
  it.loaded()
  const unreadable = [2, 3, 5].map((position) => new EventUnreadableError(position, 'no'))
  it.answer('read-events', { value: { events: eventsBetween(0, 5), unreadable, scannedTo: 5, head: 5, now: 0 } })
  expect(it.effect).toEqual({ kind: 'apply', from: 0, to: 1 })
  it.applied(1)
  it.committed()
  for (const error of unreadable) {
    if (error.position === 5) {
      expect(it.effect).toEqual({ kind: 'apply', from: 3, to: 4 })
      it.applied(4)
    }
    if (error.position !== 2) it.committed()
    expect(it.effect).toMatchObject({ kind: 'decide', event: { position: error.position }, error })
    it.answer('decide', { strategy: 'skip' })
  }
  expect(it.effect).toMatchObject({ kind: 'commit', position: 5, caughtUp: true })
})

test('H66: an idle run looks at the stored state after five seconds, whether it was woken or not, and loads it if it was moved', () => {
  const it = machine({ poll: { emptyBackoff: 1000 } }, 'continuous')
  it.loaded(3)
  const idleAt = (now: number, woken: 'on' | 'append' | 'control' = 'on') => {
    it.answer('read-events', { value: { events: [], scannedTo: 3, head: 3, now } })
    it.answer('sleep', woken)
  }
  idleAt(1000)
  idleAt(4999)
  expect(it.effect).toMatchObject({ kind: 'read-events' })
  idleAt(5000, 'append')
  it.answer('read-state', { paused: false, moved: false, now: 5001 })
  idleAt(10_000)
  expect(it.effect).toMatchObject({ kind: 'read-events' })
  idleAt(10_001)
  // What cannot be read now is looked at again.
  it.answer('read-state', undefined)
  idleAt(10_002)
  it.answer('read-state', { paused: false, moved: true, now: 10_003 })
  it.loaded(0, false, { now: 10_003 })
  expect(it.effect).toMatchObject({ kind: 'read-events', after: 0 })
  it.answer('read-events', { value: { events: [], scannedTo: 3, head: 3, now: 10_004 } })
  it.committed(10_004)
  it.answer('sleep', 'control')
  it.answer('read-state', { paused: true, moved: false, now: 10_005 })
  expect(it.effect).toMatchObject({ kind: 'sleep', why: 'paused' })
})

test('the time of a batch begins with its first work, not with the commit before a long idleness', () => {
  const it = machine({ batch: { maxTime: 300 } }, 'continuous')
  it.loaded()
  it.read(0, 2)
  it.applied(2)
  it.committed(0)
  it.answer('sleep', 'append')
  it.read(2, 6, 100, 4000)
  it.applied(4, 4100)
  // Behind, and 100 ms old: no commit yet.
  expect(it.effect).toMatchObject({ kind: 'read-events', after: 6 })
  it.read(6, 8, 100, 4200)
  it.applied(2, 4301)
  expect(it.effect).toMatchObject({ kind: 'commit', position: 8 })
})

describe('after a failure of the storage', () => {
  const failing = (it: ReturnType<typeof machine>) => it.answer('load-checkpoint', { error: new Error('no storage') })
  test('pauses double up to half a minute, and begin again once it worked', () => {
    const it = machine({ poll: { failureBackoff: 100 }, retry: { jitter: 0 } }, 'continuous')
    const pauses: number[] = []
    for (let tries = 0; tries < 11; tries += 1) {
      failing(it)
      pauses.push((it.effect as { ms: number }).ms)
      expect(it.effect).toMatchObject({ why: 'failed' })
      it.answer('sleep', 'on')
    }
    expect(pauses).toEqual([100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000])
    it.loaded()
    it.answer('read-events', { error: new Error('no storage') })
    expect(it.effect).toMatchObject({ kind: 'sleep', ms: 100 })
  })
  test('a try that the app asked for makes no later pause longer', () => {
    const it = machine({ poll: { failureBackoff: 100 }, retry: { jitter: 0 } }, 'continuous')
    for (const [woken, ms] of [
      ['on', 100],
      ['retry-now', 200],
      ['retry-now', 200],
      ['on', 200],
      ['on', 400],
    ] as const) {
      failing(it)
      expect(it.effect).toMatchObject({ kind: 'sleep', ms })
      it.answer('sleep', woken)
    }
  })
  test('reading goes on where it was, but after a control with what is stored', () => {
    const it = machine({}, 'continuous')
    it.loaded(3)
    it.answer('read-events', { error: new Error('no storage') })
    it.answer('sleep', 'retry-now')
    expect(it.effect).toMatchObject({ kind: 'read-events', after: 3 })
    it.answer('read-events', { error: new Error('no storage') })
    it.answer('sleep', 'control')
    it.loaded(0)
    expect(it.effect).toMatchObject({ kind: 'read-events', after: 0 })
  })
  test('a run gives up after so many in a row, a batch at once where it cannot load, and where it will never be better', () => {
    const it = machine({ poll: { maxConsecutiveFailures: 2 } }, 'continuous')
    for (let tries = 0; tries < 2; tries += 1) {
      failing(it)
      it.answer('sleep', 'on')
    }
    expect(() => failing(it)).toThrow(expect.objectContaining({ code: 'projection-failed', attempts: 3 }))
    expect(() => failing(machine())).toThrow(expect.objectContaining({ attempts: 1 }))
    for (const error of [
      new ClosedError('The store'),
      new LogInconsistentError(3, 'damaged'),
      new StorageLostError('gone'),
    ]) {
      expect(() => machine({}, 'continuous').answer('load-checkpoint', { error })).toThrow(
        expect.objectContaining({ code: 'projection-failed', cause: error }),
      )
    }
    // A hole that a reader found may be gone at the next look.
    const other = machine({}, 'continuous')
    other.loaded()
    other.answer('read-events', { error: new LogInconsistentError(3, 'a hole') })
    expect(other.effect).toMatchObject({ kind: 'sleep', why: 'failed' })
  })
})

test('N36: a checkpoint that was known and is beyond the head is loaded again: the log may have been restored', () => {
  const it = machine({}, 'continuous')
  it.loaded(9)
  for (const [head, stored] of [
    [8, 7],
    [6, 2],
  ] as const) {
    it.answer('read-events', { value: { events: [], scannedTo: head, head, now: 0 } })
    it.loaded(stored)
    it.read(stored, head)
    expect(it.effect).toMatchObject({ kind: 'apply', from: 0, to: head - stored })
    it.answer('apply', { next: head - stored, now: 0, aborted: false })
    it.answer('commit', { value: { paused: false, now: 0, took: 0, burst: false } })
    it.answer('sleep', 'append')
  }
})

test('N36: a checkpoint beyond the head ends the run', () => {
  const it = machine({}, 'continuous')
  it.loaded(9)
  const beyond = { value: { events: [], scannedTo: 9, head: 8, now: 0 } }
  it.answer('read-events', beyond)
  it.loaded(9)
  expect(() => it.answer('read-events', beyond)).toThrow(
    expect.objectContaining({ position: 9, cause: expect.objectContaining({ code: 'log-inconsistent' }) }),
  )
})

test('an event that an earlier version left out by hand is left out where it fails, without asking; not one that a newer build can apply', () => {
  const it = machine({}, 'continuous')
  it.loaded(0, false, { carried: [2, 3] })
  it.read(0, 4)
  expect(it.effect).toEqual({ kind: 'apply', from: 0, to: 4 })
  it.answer('apply', { next: 1, failure: { error: new Error('no'), storage: false }, now: 0, aborted: false })
  it.committed()
  expect(it.effect).toEqual({ kind: 'apply', from: 2, to: 4 })
  it.answer('apply', {
    next: 2,
    failure: { error: new EventUnreadableError(3, 'newer', undefined, true), storage: false },
    now: 0,
    aborted: false,
  })
  it.committed()
  expect(it.effect).toMatchObject({ kind: 'decide', event: { position: 3 } })
  expect(it.run).toMatchObject({ skipped: 1, position: 2 })
})

test('the pause between polls is that of the interval after events, and grows while there are none', () => {
  const it = machine({ poll: { interval: 700, emptyBackoff: 1000 } }, 'continuous')
  it.loaded()
  it.read(0, 2)
  it.applied(2)
  it.committed()
  expect(it.effect).toMatchObject({ kind: 'sleep', ms: 700 })
  it.answer('sleep', 'on')
  it.read(2, 2)
  expect(it.effect).toMatchObject({ kind: 'sleep', ms: 1000 })
})

test('somebody who moves the state again and again makes commits small', () => {
  const run = newRun()
  run.commitSoon = true
  const steps = projectionMachine('p', settle({}, 'continuous'), () => 0, run)
  const answer = (result: unknown) => {
    let step = steps.next(result as never)
    while (step.done !== true && step.value.kind === 'report') step = steps.next(undefined as never)
    return step.value
  }
  answer(undefined)
  answer({ value: { position: 0, paused: false, rebuilding: false, now: 0 } })
  expect(answer({ value: { events: eventsBetween(0, 4), scannedTo: 4, head: 9, now: 0 } })).toMatchObject({
    kind: 'apply',
  })
  expect(answer({ next: 1, now: 0, aborted: false })).toMatchObject({ kind: 'commit', position: 1 })
  expect(answer({ value: { paused: false, now: 0, took: 0, burst: false } })).toMatchObject({
    kind: 'apply',
    from: 1,
  })
  expect(run.commitSoon).toBe(false)
  // … and large again once one was stored.
  expect(answer({ next: 3, now: 0, aborted: false })).toMatchObject({ kind: 'apply', from: 3 })
})
