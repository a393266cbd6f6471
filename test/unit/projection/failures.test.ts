// What a failure means for a run.
import { describe, expect, test } from 'vitest'
import { ClosedError, PoisonEventError, StorageLostError } from '../../../src/errors.js'
import { DatabaseRefusedError } from '../../../src/postgres/postgres-errors.js'
import { settle, type ProjectionOptions } from '../../../src/projection/config.js'
import {
  isFinal,
  Retries,
  StorageFailures,
  stoppedBy,
  verdictOn,
  type StorageWork,
} from '../../../src/projection/failures.js'

const boom = new Error('boom')

describe('failures of the storage', () => {
  function storage(options: ProjectionOptions = {}, mode: 'batch' | 'continuous' = 'continuous') {
    const it = new StorageFailures('p', settle({ retry: { jitter: 0 }, ...options }, mode))
    return { it, fail: (what: StorageWork, final = false) => it.failed(what, boom, final, 7, 0.9) }
  }

  test('the pauses double up to half a minute, and begin again once it worked', () => {
    const { it, fail } = storage()
    const pauses = Array.from({ length: 11 }, () => fail('reading'))
    expect(pauses.map(({ delay }) => delay)).toEqual([
      100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000,
    ])
    expect(pauses.at(-1)?.failures).toBe(11)
    it.worked('reading')
    expect(fail('reading')).toEqual({ failures: 1, delay: 100 })
  })

  test('each kind is counted by itself', () => {
    const { it, fail } = storage()
    fail('storing')
    fail('reading')
    it.worked('reading')
    expect([fail('storing').failures, fail('reading').failures, fail('loading').failures]).toEqual([2, 1, 1])
  })

  test('a failure of a try that the app asked for does not count', () => {
    const { it, fail } = storage()
    fail('loading')
    it.forgetLast('loading')
    expect(fail('loading')).toEqual({ failures: 1, delay: 100 })
  })

  test('the run ends after as many as are tolerated, a batch where it cannot load, and where another try is useless', () => {
    const { fail } = storage({ poll: { maxConsecutiveFailures: 2 } })
    fail('reading')
    fail('reading')
    expect(() => fail('reading')).toThrow(expect.objectContaining({ attempts: 3, position: 7, cause: boom }))
    const batch = storage({}, 'batch')
    expect(batch.fail('reading').failures).toBe(1)
    expect(() => batch.fail('loading')).toThrow(expect.objectContaining({ code: 'projection-failed', attempts: 1 }))
    expect(() => storage().fail('storing', true)).toThrow(/stopped at 7: storing failed for good: boom/)
  })

  test('final is what no try can change', () => {
    const refused = new DatabaseRefusedError('42501', boom)
    expect([new ClosedError('x'), new StorageLostError('gone'), refused, boom].map(isFinal)).toEqual([
      true,
      true,
      true,
      false,
    ])
  })
})

describe('retries of an event', () => {
  const retries = () => new Retries(settle({ retry: { maxRetries: 2, delay: 10, jitter: 0.5 } }, 'batch'))

  test('each event has all of its own, with growing pauses, and a rebuild begins with all of them', () => {
    const it = retries()
    const at = (random: number, from = 2) => ({ random, now: 100, from })
    expect([it.next(3, boom, at(0.5)), it.next(3, boom, at(1)), it.next(3, boom, at(0.5)), it.of(3)]).toEqual([
      10,
      30,
      undefined,
      2,
    ])
    expect([it.of(4), it.next(4, boom, at(0, 3)), it.of(4)]).toEqual([0, 5, 1])
    it.begin(3)
    expect([it.of(4), it.left(4, 101), it.left(4, 105), it.left(3, 101)]).toEqual([1, 4, 0, 0])
    it.begin(2)
    expect([it.of(4), it.left(4, 101), it.pauseAt(101)]).toEqual([0, 0, 0])
  })

  test('no pause is left of an event that is not tried again, nor once it was waited for', () => {
    const it = retries()
    const moment = { random: 0.5, now: 100, from: 2 }
    it.next(3, boom, moment)
    it.waited()
    expect(it.left(3, 101)).toBe(0)
    it.next(3, boom, moment)
    it.next(3, boom, moment)
    expect(it.left(3, 101)).toBe(0)
  })

  test('an event that ended two runs is not tried again', () => {
    expect(retries().next(3, new PoisonEventError(3, 2), { random: 0.5, now: 0, from: 2 })).toBeUndefined()
  })

  test('a verdict is what the policy says; a retry where none is left, and anything else, is fatal', () => {
    const it = retries()
    const verdict = (strategy: string) =>
      verdictOn(strategy as never, it, 3, boom, () => ({ random: 0.5, now: 0, from: 2 }))
    expect(['skip', 'park', 'park-stream', 'fatal', 'nonsense'].map(verdict)).toEqual([
      'skip',
      'park',
      'park-stream',
      'fatal',
      'fatal',
    ])
    expect([verdict('retry'), verdict('retry'), verdict('retry')]).toEqual([
      { retryAfter: 10 },
      { retryAfter: 20 },
      'fatal',
    ])
  })

  test('the error names the event, the attempts and the cause', () => {
    const event = { type: 'A', data: null, stream: 's', version: 1, position: 3, id: 'x', time: 0 }
    expect(stoppedBy('p', event, 1, boom)).toMatchObject({ attempts: 1, position: 3, eventId: 'x', cause: boom })
    expect(stoppedBy('p', event, 4, boom).message).toMatch(
      /^Projection 'p' stopped at position 3 \(A in 's'\) after 4 attempts: boom/,
    )
  })
})
