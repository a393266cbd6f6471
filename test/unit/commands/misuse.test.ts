// What a command returns that is not what it should: refused with a typed error that names the function, and nothing is written.
import { afterEach, describe, expect, test, vi } from 'vitest'
import { ensure, refuse, type Command } from '../../../src/commands/command.js'
import { execute } from '../../../src/commands/execute.js'
import { TooManyStreamsError } from '../../../src/errors.js'
import { deposited, fakeStore, type BankEvent } from './fake-store.js'

const broken = (parts: object) =>
  ({ streams: ['a'], initial: 0, evolve: (sum: number) => sum + 1, decide: () => [], ...parts }) as unknown as Command<
    BankEvent,
    number
  >
const failing = async (): Promise<unknown> => {
  throw new Error('late')
}

const unhandled = vi.fn()
process.on('unhandledRejection', unhandled)
afterEach(async () => {
  // Node tells of unhandled rejections once the microtasks are done.
  await new Promise((resolve) => setImmediate(resolve))
  expect(unhandled).not.toHaveBeenCalled()
})

describe('a promise is refused, also one that rejects', () => {
  const thenable = (): unknown => ({ then: (resolve: (value: number) => void) => resolve(1) })
  test.for<[string, unknown]>([
    ['evolve', async () => 1],
    ['evolve', failing],
    ['evolve', thenable],
    ['initial', async () => 1],
    ['initial', failing],
    ['initial', Promise.resolve(1)],
    ['decide', async () => []],
    ['decide', failing],
    ['discover', async () => ['b']],
    ['discover', failing],
  ])('%s', async ([name, value]) => {
    const fake = fakeStore()
    fake.put('a', deposited(1), deposited(2))
    await expect(execute(fake.store, broken({ [name]: value }))).rejects.toMatchObject({
      code: 'invalid-argument',
      outcome: 'not-written',
      message: expect.stringMatching(`^${name} must not return a promise`),
    })
    expect(fake.appends).toEqual([])
  })

  test('one from the second call of evolve on', async () => {
    const fake = fakeStore()
    fake.put('a', deposited(1), deposited(2))
    const decide = vi.fn(() => [])
    await expect(
      execute(fake.store, broken({ evolve: (sum: number) => (sum === 0 ? 1 : failing()), decide })),
    ).rejects.toMatchObject({ code: 'invalid-argument' })
    expect(decide).not.toHaveBeenCalled()
  })
})

test('ensure refuses a promise, which would always hold', async () => {
  const fake = fakeStore()
  for (const condition of [Promise.resolve(false), failing()]) {
    await expect(execute(fake.store, broken({ decide: () => (ensure(condition, 'no'), []) }))).rejects.toMatchObject({
      code: 'invalid-argument',
      message: expect.stringMatching(/^ensure was given a promise/),
    })
  }
  expect(fake.appends).toEqual([])
})

test.for(['evolve', 'decide'])('a command without %s is refused before anything is read', async (name) => {
  const fake = fakeStore()
  await expect(execute(fake.store, broken({ [name]: undefined }))).rejects.toMatchObject({
    code: 'invalid-argument',
    message: expect.stringMatching(/^command must be \{ streams, initial, evolve, decide \}\./),
  })
  expect(fake.reads).toEqual([])
})

describe('a decision is a list of events, or a refusal', () => {
  test.for<[string, unknown]>([
    ['nothing', undefined],
    ['null', null],
    ['a string', 'Deposited'],
    ['a number', 7],
    ['true', true],
    ['one event', { stream: 'a', ...deposited(1) }],
    ['a set of events', new Set([deposited(1)])],
    ['a function', () => []],
    ['a refusal of another kind', { type: 'accepted' }],
  ])('%s is not', async ([, decision]) => {
    const fake = fakeStore()
    await expect(execute(fake.store, broken({ decide: () => decision }))).rejects.toMatchObject({
      code: 'invalid-argument',
      message: expect.stringMatching(/^decide must return a list/),
    })
    expect(fake.appends).toEqual([])
  })

  test.for<[string, unknown]>([
    ['null', null],
    ['undefined', undefined],
    ['a string', 'Deposited'],
    ['a number', 7],
    ['a promise', Promise.resolve({ stream: 'a', ...deposited(1) })],
    ['promises that reject', 'reject'],
    ['a refusal as a string', 'refused'],
  ])('%s is not an event of one', async ([, bad]) => {
    const fake = fakeStore()
    const events = bad === 'reject' ? [failing(), failing()] : [bad]
    await expect(
      execute(fake.store, broken({ decide: () => [{ stream: 'a', ...deposited(1) }, ...events] })),
    ).rejects.toMatchObject({
      name: 'InvalidEventError',
      code: 'invalid-event',
      outcome: 'not-written',
      path: 'decide[1]',
      message: expect.stringMatching(/^decide\[1\] must be \{ stream, type, data \}/),
    })
    expect(fake.appends).toEqual([])
  })

  test('a hole is not an event, and an event must name a stream', async () => {
    const fake = fakeStore()
    await expect(
      execute(fake.store, broken({ decide: () => [, { stream: 'a', ...deposited(1) }] })),
    ).rejects.toMatchObject({ code: 'invalid-event', path: 'decide[0]' })
    for (const event of [{}, [], refuse('no'), deposited(1), { ...deposited(1), stream: 7 }]) {
      await expect(execute(fake.store, broken({ decide: () => [event] }))).rejects.toMatchObject({
        code: 'invalid-name',
      })
    }
    expect(fake.appends).toEqual([])
  })
})

describe('discover', () => {
  test.for<[string, unknown]>([
    ['a string', 'order'],
    ['nothing', undefined],
    ['null', null],
    ['a set', new Set(['b'])],
    ['a number', 7],
    ['an object', { 0: 'b', length: 1 }],
  ])('%s is not a list of streams', async ([, found]) => {
    const fake = fakeStore()
    await expect(execute(fake.store, broken({ discover: () => found }))).rejects.toMatchObject({
      code: 'invalid-argument',
      message: expect.stringMatching(/^discover must return a list of stream names\./),
    })
    expect(fake.reads).toEqual(['a'])
  })

  test.for<[string, unknown]>([
    ['a number', 7],
    ['nothing', undefined],
    ['an empty name', ''],
    ['a pattern', 'order-*'],
    ['promises that reject', 'reject'],
  ])('%s is not a stream', async ([, name]) => {
    const fake = fakeStore()
    await expect(
      execute(fake.store, broken({ discover: () => ['b', ...(name === 'reject' ? [failing(), failing()] : [name])] })),
    ).rejects.toMatchObject({ code: 'invalid-name' })
    expect(fake.appends).toEqual([])
  })

  test('one that names another stream each time ends at 1,000, with an error of its own', async () => {
    const fake = fakeStore()
    let calls = 0
    const error = await execute(fake.store, {
      ...broken({ discover: () => [`more-${(calls += 1)}`] }),
      name: 'endless',
    }).catch((error: unknown) => error)
    expect(error).toBeInstanceOf(TooManyStreamsError)
    expect(error).toMatchObject({
      name: 'TooManyStreamsError',
      code: 'too-many-streams',
      outcome: 'not-written',
      message: expect.stringMatching(/of command 'endless' named more than 1000 streams/),
    })
    expect(calls).toBe(1001)
    expect(fake.appends).toEqual([])
  })

  test('1,000 in one list are read, one more is refused; those that are declared, or named again, do not count', async () => {
    const named = (count: number) => Array.from({ length: count }, (_, at) => `s-${at}`)
    const fake = fakeStore()
    const declared = Array.from({ length: 1_200 }, (_, at) => `d-${at}`)
    expect(
      await execute(fake.store, broken({ streams: declared, discover: () => [...named(1_000), ...declared, 's-0'] })),
    ).toMatchObject({ type: 'accepted' })
    expect(fake.reads).toHaveLength(2_200)
    await expect(execute(fake.store, broken({ discover: () => named(1_001) }))).rejects.toMatchObject({
      code: 'too-many-streams',
    })
    expect(fake.reads).toHaveLength(2_201)
  })

  test('is asked after each stream, with the state as it is then', async () => {
    const fake = fakeStore()
    fake.put('a', deposited(1))
    fake.put('b', deposited(1), deposited(1))
    const asked: number[] = []
    // Only the state after the first stream leads to `early`.
    const result = await execute(
      fake.store,
      broken({ streams: ['a', 'b'], discover: (sum: number) => (asked.push(sum), sum === 1 ? ['early'] : []) }),
    )
    expect(asked).toEqual([1, 3, 3])
    expect(fake.reads).toEqual(['a', 'b', 'early'])
    expect(result).toMatchObject({ versions: { early: 0 } })
  })
})
