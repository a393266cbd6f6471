import { expect, test } from 'vitest'
import { refuse, type Command } from '../../../src/commands/command.js'
import { commandPipeline } from '../../../src/commands/pipeline.js'
import { jittered, retryDelay, retryPolicy } from '../../../src/commands/retry.js'
import { LogInconsistentError, VersionConflictError } from '../../../src/errors.js'
import type { RecordedEvent } from '../../../src/events/event.js'
import { deposited, type BankEvent } from './fake-store.js'

const options = { retry: retryPolicy(), random: () => 0.5 }
const result = { position: 1, firstPosition: 1, versions: { a: 1 }, duplicate: false }
const recorded = (version: number): RecordedEvent<BankEvent> => ({
  ...deposited(version),
  stream: 'a',
  version,
  position: version,
  id: `id-${version}`,
  time: 0,
})
const counting = {
  streams: ['a'],
  initial: [],
  evolve: (seen, event) => [...seen, event.version],
  decide: () => [{ stream: 'a', ...deposited(1) }],
} satisfies Command<BankEvent, number[]>

test('X14: an empty stream is read, then the append, then success', () => {
  const pipeline = commandPipeline<BankEvent, number[], ReturnType<typeof counting.decide>>(counting, options)
  expect(pipeline.next().value).toEqual({ kind: 'read-stream', stream: 'a' })
  expect(pipeline.next({ kind: 'end' }).value).toEqual({
    kind: 'append',
    writes: [{ stream: 'a', events: [deposited(1)], expectedVersion: 0 }],
  })
  expect(pipeline.next({ kind: 'appended', result })).toMatchObject({
    done: true,
    value: { type: 'accepted', attempts: 1, position: 1 },
  })
})

test('X15: after a conflict it reports, sleeps, and reads again from the start', () => {
  const pipeline = commandPipeline(counting as Command<BankEvent, number[]>, options)
  pipeline.next()
  pipeline.next({ kind: 'end' })
  const error = new VersionConflictError({ stream: 'a', expected: 0, actual: 1 })
  expect(pipeline.next({ kind: 'conflict', error }).value).toMatchObject({
    kind: 'report',
    retry: { attempt: 1, delay: 10 },
  })
  expect(pipeline.next({ kind: 'done' }).value).toEqual({ kind: 'sleep', ms: 10 })
  expect(pipeline.next({ kind: 'done' }).value).toEqual({ kind: 'read-stream', stream: 'a' })
})

test('X16: a refusal ends it without an append', () => {
  const pipeline = commandPipeline({ ...counting, decide: () => refuse('no') } as Command<BankEvent, number[]>, options)
  pipeline.next()
  expect(pipeline.next({ kind: 'end' })).toEqual({ done: true, value: { type: 'refused', reason: 'no', attempts: 1 } })
})

test('X17: events are folded one by one, and counted', () => {
  let seen: number[] = []
  const command: Command<BankEvent, number[]> = { ...counting, decide: (state) => ((seen = state), []) }
  const pipeline = commandPipeline(command, options)
  pipeline.next()
  for (const version of [1, 2, 3]) {
    expect(pipeline.next({ kind: 'event', event: recorded(version) }).value).toEqual({
      kind: 'next-event',
      stream: 'a',
    })
  }
  expect(pipeline.next({ kind: 'end' }).value).toEqual({
    kind: 'append',
    writes: [{ stream: 'a', events: [], expectedVersion: 3 }],
  })
  expect(seen).toEqual([1, 2, 3])
})

test('X18: an error at the second event ends it at once', () => {
  const pipeline = commandPipeline(counting as Command<BankEvent, number[]>, options)
  pipeline.next()
  pipeline.next({ kind: 'event', event: recorded(1) })
  expect(() => pipeline.throw(new Error('disk'))).toThrow('disk')
  expect(pipeline.next({ kind: 'end' })).toEqual({ done: true, value: undefined })
})

test('N37: a hole in the versions of a stream is an integrity error', () => {
  const pipeline = commandPipeline(counting as Command<BankEvent, number[]>, options)
  pipeline.next()
  pipeline.next({ kind: 'event', event: recorded(1) })
  expect(() => pipeline.next({ kind: 'event', event: recorded(3) })).toThrow(LogInconsistentError)
})

test('X9: the spread of a pause is 0.8 to 1.2, in whole ms', () => {
  expect([0, 0.5, 1].map((random) => jittered(100, random))).toEqual([80, 100, 120])
  expect(jittered(0, 0.9)).toBe(0)
  expect(jittered(10_000, 0.75)).toBe(11_000)
})

test('C6: pauses double without a cap and saturate; fixed ones stay exact', () => {
  expect([1, 2, 3, 4].map((retry) => retryDelay(retryPolicy(), retry, () => 0.5))).toEqual([10, 20, 40, 80])
  expect(retryDelay(retryPolicy(), 5000, () => 0.5)).toBe(Number.MAX_SAFE_INTEGER)
  expect(retryDelay(retryPolicy({ backoff: 'fixed', delay: 50 }), 3, () => 0)).toBe(50)
  for (const bad of [{ maxAttempts: -1 }, { maxAttempts: 1.5 }, { maxAttempts: NaN }, { delay: -1 }, { delay: NaN }]) {
    expect(() => retryPolicy(bad)).toThrow(expect.objectContaining({ code: 'invalid-argument' }))
  }
})
