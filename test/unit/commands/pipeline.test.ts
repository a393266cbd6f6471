import { expect, test } from 'vitest'
import { refuse, type Command } from '../../../src/commands/command.js'
import { commandPipeline } from '../../../src/commands/pipeline.js'
import { LogInconsistentError, VersionConflictError } from '../../../src/errors.js'
import type { RecordedEvent } from '../../../src/events/event.js'
import { commandRetry, pauseBefore } from '../../../src/platform/backoff.js'
import { deposited, type BankEvent } from './fake-store.js'

const options = { retry: commandRetry, random: () => 0.5 }
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
    last: new Map([['a', undefined]]),
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
    last: new Map([['a', recorded(3).id]]),
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

test('X9, C6: pauses double up to five seconds, 0.8 to 1.2 of that by chance, in whole ms', () => {
  const pauses = (random: number, retries = [0, 1, 2, 3, 9, 5000]) =>
    retries.map((retry) => pauseBefore(retry, commandRetry, random))
  expect(pauses(0.5)).toEqual([10, 20, 40, 80, 5_000, 5_000])
  expect(pauses(0, [3])).toEqual([64])
  expect(pauses(1, [3])).toEqual([96])
})
