import { describe, expect, test, vi } from 'vitest'
import { ensure, refuse, type Command, type Decision } from '../../../src/commands/command.js'
import { CommandConflictError } from '../../../src/errors.js'
import { execute } from '../../../src/commands/execute.js'
import { StorageFailedError, UndeclaredStreamError } from '../../../src/errors.js'
import { deposited, fakeStore, instantClock, withdrawn, type BankEvent } from './fake-store.js'

const balances = {
  initial: {} as Readonly<Record<string, number>>,
  evolve: (state: Readonly<Record<string, number>>, event: BankEvent & { stream: string }) =>
    event.type === 'PaymentLinked'
      ? state
      : {
          ...state,
          [event.stream]:
            (state[event.stream] ?? 0) + (event.type === 'Deposited' ? event.data.amount : -event.data.amount),
        },
}
type Balances = typeof balances.initial
const command = (
  streams: readonly string[],
  decide: (state: Balances) => Decision<BankEvent>,
): Command<BankEvent, Balances> => ({ ...balances, streams, decide })
const deposit = (stream = 'a') => command([stream], () => [{ stream, ...deposited(5) }])
const withdraw = (amount: number) =>
  command(['a'], (state) => {
    const balance = state['a'] ?? 0
    return balance < amount
      ? refuse(`the balance is ${balance}, ${amount} is needed`)
      : [{ stream: 'a', ...withdrawn(amount) }]
  })
const transfer = (from: string, to: string, amount: number) =>
  command([from, to], (state) =>
    (state[from] ?? 0) < amount
      ? refuse('insufficient funds')
      : [
          { stream: from, ...withdrawn(amount) },
          { stream: to, ...deposited(amount) },
        ],
  )

describe('deciding', () => {
  test('X1, X2: decide is called with the state built from the streams', async () => {
    const fake = fakeStore()
    fake.put('a', deposited(7))
    const decide = vi.fn(() => [])
    await execute(fake.store, command(['a'], decide))
    expect(decide.mock.calls).toEqual([[{ a: 7 }]])
  })

  test('X19: a deposit on an empty account is one event with the right content', async () => {
    const fake = fakeStore()
    expect(await execute(fake.store, deposit())).toEqual({
      type: 'accepted',
      position: 1,
      versions: { a: 1 },
      attempts: 1,
      events: [{ stream: 'a', ...deposited(5) }],
    })
    expect(fake.of('a')).toEqual([deposited(5)])
  })

  test('X20: withdrawing too much is refused, naming balance and need', async () => {
    const fake = fakeStore()
    fake.put('a', deposited(50))
    expect(await execute(fake.store, withdraw(80))).toEqual({
      type: 'refused',
      reason: 'the balance is 50, 80 is needed',
      attempts: 1,
    })
    expect(fake.log).toHaveLength(1)
    expect(fake.appends).toEqual([])
  })

  test('X21: a transfer appends debit and credit at once', async () => {
    const fake = fakeStore()
    fake.put('a', deposited(50))
    fake.put('b', deposited(50))
    expect(await execute(fake.store, transfer('a', 'b', 20))).toMatchObject({ type: 'accepted', attempts: 1 })
    expect([fake.of('a')[1], fake.of('b')[1]]).toEqual([withdrawn(20), deposited(20)])
    expect(fake.appends).toHaveLength(1)
  })

  test('X30: ensure refuses with a text, a formatted text or any value, and lets the truth pass', async () => {
    const fake = fakeStore()
    for (const reason of ['closed', `needs ${3}`, { code: 'closed' }]) {
      expect(
        await execute(
          fake.store,
          command(['a'], () => (ensure(false, reason), [])),
        ),
      ).toEqual({ type: 'refused', reason, attempts: 1 })
    }
    expect(
      await execute(
        fake.store,
        command(['a'], () => (ensure(true, 'closed'), [])),
      ),
    ).toMatchObject({ type: 'accepted' })
  })

  test('an error that decide throws is thrown, not a refusal; a promise or nothing is no decision', async () => {
    const fake = fakeStore()
    await expect(
      execute(
        fake.store,
        command(['a'], () => {
          throw new TypeError('bug')
        }),
      ),
    ).rejects.toThrow('bug')
    for (const wrong of [undefined, Promise.resolve([]), deposited(1)]) {
      await expect(
        execute(
          fake.store,
          command(['a'], () => wrong as never),
        ),
      ).rejects.toMatchObject({ code: 'invalid-argument' })
    }
  })

  test('C1: no stream, or one twice, is refused before anything is read', async () => {
    const fake = fakeStore()
    for (const streams of [[], ['a', 'a']]) {
      await expect(
        execute(
          fake.store,
          command(streams, () => []),
        ),
      ).rejects.toMatchObject({ code: 'invalid-argument' })
    }
    expect(fake.reads).toEqual([])
  })

  test('C3: an event for a stream that was not read is refused and nothing is written', async () => {
    const fake = fakeStore()
    await expect(
      execute(
        fake.store,
        command(['a'], () => [{ stream: 'b', ...deposited(1) }]),
      ),
    ).rejects.toThrow(UndeclaredStreamError)
    expect(fake.appends).toEqual([])
  })

  test('C4: streams that receive no event are checked too, also if the command decides nothing', async () => {
    const fake = fakeStore()
    fake.put('b', deposited(1))
    await execute(
      fake.store,
      command(['a', 'b'], () => [{ stream: 'a', ...deposited(1) }]),
    )
    expect(fake.appends[0]).toEqual([
      { stream: 'a', events: [deposited(1)], expectedVersion: 0 },
      { stream: 'b', events: [], expectedVersion: 1 },
    ])
    await execute(
      fake.store,
      command(['a', 'b'], () => []),
    )
    expect(fake.appends[1]?.map(({ expectedVersion }) => expectedVersion)).toEqual([1, 1])
  })
})

describe('conflicts', () => {
  test('X3: a failing read is thrown at once, without a retry', async () => {
    const fake = fakeStore()
    fake.beforeRead = async () => {
      throw new StorageFailedError('disk')
    }
    await expect(execute(fake.store, deposit())).rejects.toThrow(StorageFailedError)
    expect(fake.reads).toEqual(['a'])
  })

  test('X3: a failing append other than a conflict is thrown at once', async () => {
    const fake = fakeStore()
    fake.beforeAppend = async () => {
      throw new StorageFailedError('disk', { outcome: 'unknown' })
    }
    await expect(execute(fake.store, deposit())).rejects.toMatchObject({ outcome: 'unknown' })
    expect(fake.appends).toHaveLength(1)
  })

  test('X4: one conflict, then success at the second attempt', async () => {
    const fake = fakeStore()
    fake.conflicts(1)
    expect(await execute(fake.store, deposit(), { clock: instantClock().clock })).toMatchObject({
      type: 'accepted',
      attempts: 2,
    })
    expect(fake.appends).toHaveLength(2)
  })

  test.for([
    [undefined, 4, 'after 4 retry attempts'],
    [1, 1, 'after 1 retry attempt:'],
    [0, 0, 'after 0 retry attempts'],
  ] as const)(
    'X5, X6, X7, X13: endless conflicts with maxRetries %s end after %s retries',
    async ([maxRetries, retries, text]) => {
      const fake = fakeStore()
      fake.conflicts(Infinity)
      const { clock, waits } = instantClock()
      const error = await execute(fake.store, deposit(), {
        clock,
        retry: maxRetries === undefined ? {} : { maxRetries },
      }).catch((error: unknown) => error)
      expect(error).toBeInstanceOf(CommandConflictError)
      expect(error).toMatchObject({
        code: 'command-conflict',
        outcome: 'not-written',
        stream: 'a',
        attempts: retries + 1,
        streams: ['a'],
        cause: { code: 'version-conflict' },
      })
      expect((error as Error).message).toContain(text)
      expect(waits).toHaveLength(retries)
      expect(fake.appends).toHaveLength(retries + 1)
    },
  )

  test('X8: fixed pauses are exact', async () => {
    const fake = fakeStore()
    fake.conflicts(2)
    const { clock, waits } = instantClock(0)
    await execute(fake.store, deposit(), { clock, retry: { multiplier: 1, jitter: 0, delay: 50, maxRetries: 2 } })
    expect(waits).toEqual([50, 50])
  })

  test('X10, X12: the hook hears of each retry: its number, pause and streams', async () => {
    const fake = fakeStore()
    fake.conflicts(3)
    const onRetry = vi.fn()
    await execute(fake.store, transfer('a', 'b', 0), { clock: instantClock().clock, onRetry })
    expect(onRetry.mock.calls.map(([retry]) => retry)).toMatchObject(
      [1, 2, 3].map((attempt) => ({
        attempt,
        delay: 10 * 2 ** (attempt - 1),
        streams: ['a', 'b'],
        conflict: { stream: 'a' },
      })),
    )
  })

  test('X11: one conflict, one call', async () => {
    const fake = fakeStore()
    fake.conflicts(1)
    const onRetry = vi.fn()
    await execute(fake.store, deposit(), { clock: instantClock().clock, onRetry })
    expect(onRetry).toHaveBeenCalledTimes(1)
  })

  test('X22: another writer comes first; the second attempt decides on what is there then', async () => {
    const fake = fakeStore()
    fake.put('a', deposited(50))
    fake.put('b', deposited(1))
    fake.beforeAppend = async (call) => {
      if (call === 1) fake.put('b', deposited(2))
    }
    expect(await execute(fake.store, transfer('a', 'b', 20), { clock: instantClock().clock })).toMatchObject({
      attempts: 2,
    })
    expect(fake.of('b')).toEqual([deposited(1), deposited(2), deposited(20)])
    expect(fake.of('a')).toEqual([deposited(50), withdrawn(20)])
  })

  test('X23: two transfers race and both end well; the sum is kept', async () => {
    const fake = fakeStore()
    fake.put('a', deposited(50))
    fake.put('b', deposited(50))
    const { clock } = instantClock()
    const results = await Promise.all([
      execute(fake.store, transfer('a', 'b', 20), { clock }),
      execute(fake.store, transfer('b', 'a', 30), { clock }),
    ])
    expect(results.map(({ type }) => type)).toEqual(['accepted', 'accepted'])
    const state = fake.log.reduce(balances.evolve, balances.initial)
    expect(state).toEqual({ a: 60, b: 40 })
  })

  test('a state that evolve changes in place is new for each attempt if initial is a function', async () => {
    const fake = fakeStore()
    fake.put('a', deposited(1))
    fake.conflicts(1)
    const seen: number[] = []
    await execute(
      fake.store,
      {
        streams: ['a'],
        initial: () => ({ count: 0 }),
        evolve: (state) => ((state.count += 1), state),
        decide: (state) => (seen.push(state.count), []),
      },
      { clock: instantClock().clock },
    )
    expect(seen).toEqual([1, 1])
  })
})

describe('the initial state belongs to the app', () => {
  interface Deep {
    count: number
    seen: string[]
    by: Map<string, number>
  }
  const counting = (initial: Deep, seen: Deep[]): Command<BankEvent, Deep> => ({
    streams: ['a'],
    initial,
    evolve: (state, event) => {
      state.count += 1
      state.seen.push(event.id)
      state.by.set('a', (state.by.get('a') ?? 0) + 1)
      return state
    },
    decide: (state) => (seen.push(structuredClone(state)), []),
  })
  const expected = { count: 2, seen: ['id-1', 'id-2'], by: new Map([['a', 2]]) }

  test('an evolve that changes it in place starts from it in each execution and each attempt', async () => {
    const fake = fakeStore()
    fake.put('a', deposited(1), deposited(2))
    const initial: Deep = { count: 0, seen: [], by: new Map() }
    const seen: Deep[] = []
    const command = counting(initial, seen)
    await execute(fake.store, command)
    fake.conflicts(4)
    fake.appends.length = 0
    await execute(fake.store, command, { clock: instantClock().clock })
    await Promise.all([execute(fake.store, command), execute(fake.store, { ...command })])
    expect(seen).toEqual(Array.from({ length: 8 }, () => expected))
    expect(initial).toEqual({ count: 0, seen: [], by: new Map() })
  })

  test('a decide that changes it in place changes nothing of the app either, and it is not frozen', async () => {
    const fake = fakeStore()
    const initial = { list: [1] }
    await execute(fake.store, {
      streams: ['a'],
      initial,
      evolve: (state) => state,
      decide: (state) => (state.list.push(2), []),
    })
    initial.list.push(3)
    expect(initial.list).toEqual([1, 3])
  })

  test('instances of classes keep their methods', async () => {
    class Account {
      readonly balance: number
      constructor(balance = 0) {
        this.balance = balance
      }
      plus(amount: number) {
        return new Account(this.balance + amount)
      }
    }
    const fake = fakeStore()
    fake.put('a', deposited(3), deposited(4))
    const seen: number[] = []
    const command: Command<BankEvent, { account: Account }> = {
      streams: ['a'],
      initial: { account: new Account() },
      evolve: ({ account }, event) => ({ account: account.plus(event.type === 'Deposited' ? event.data.amount : 0) }),
      decide: ({ account }) => (seen.push(account.balance), []),
    }
    await execute(fake.store, command)
    await execute(fake.store, command)
    expect(seen).toEqual([7, 7])
  })
})

describe('discovery', () => {
  const linked = (streams = ['order']): Command<BankEvent, { payments: readonly string[]; paid: number }> => ({
    streams,
    initial: { payments: [], paid: 0 },
    evolve: (state, event) =>
      event.type === 'PaymentLinked'
        ? { ...state, payments: [...state.payments, event.data.stream] }
        : { ...state, paid: state.paid + event.data.amount },
    discover: (state) => state.payments,
    decide: (state) => [
      { stream: 'order', ...deposited(state.paid) },
      { stream: 'payment', ...deposited(state.paid) },
    ],
  })
  const filled = () => {
    const fake = fakeStore()
    fake.put('order', { type: 'PaymentLinked', data: { stream: 'payment' } })
    fake.put('payment', deposited(3))
    return fake
  }

  test('X24, X25: discovered events are folded before decide, and both streams may be written', async () => {
    const fake = filled()
    expect(await execute(fake.store, linked())).toMatchObject({ type: 'accepted', versions: { order: 2, payment: 2 } })
    expect(fake.of('payment')[1]).toEqual(deposited(3))
  })

  test('X26: a conflict on discovered streams starts again', async () => {
    const fake = filled()
    fake.conflicts(1)
    expect(await execute(fake.store, linked(), { clock: instantClock().clock })).toMatchObject({ attempts: 2 })
    expect(fake.appends).toHaveLength(2)
    expect(fake.reads).toEqual(['order', 'payment', 'order', 'payment'])
  })

  test('X27: each stream is read once, also if it is declared and discovered, and in the order of the queue', async () => {
    const fake = filled()
    fake.put(
      'payment',
      { type: 'PaymentLinked', data: { stream: 'order' } },
      { type: 'PaymentLinked', data: { stream: 'late' } },
    )
    await execute(fake.store, linked(['order', 'payment']))
    expect(fake.reads).toEqual(['order', 'payment', 'late'])
  })
})

describe('aborting', () => {
  test('an aborted signal stops before the first read, with its reason', async () => {
    const fake = fakeStore()
    const reason = new Error('left the page')
    await expect(execute(fake.store, deposit(), { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    expect(fake.reads).toEqual([])
  })

  test('an abort during the pause takes the timer back', async () => {
    const fake = fakeStore()
    fake.conflicts(Infinity)
    const controller = new AbortController()
    const cancelled = vi.fn()
    const clock = { ...instantClock().clock, schedule: () => (queueMicrotask(() => controller.abort()), cancelled) }
    await expect(execute(fake.store, deposit(), { clock, signal: controller.signal })).rejects.toMatchObject({
      name: 'AbortError',
    })
    expect(cancelled).toHaveBeenCalledTimes(1)
    expect(fake.appends).toHaveLength(1)
  })

  test('a hundred retries leave no listener on the signal, whether they were waited for or not', async () => {
    const { signal, abort } = (() => {
      const controller = new AbortController()
      return { signal: controller.signal, abort: () => controller.abort() }
    })()
    let listeners = 0
    let most = 0
    const add = vi.spyOn(signal, 'addEventListener').mockImplementation((...given) => {
      most = Math.max(most, (listeners += 1))
      return AbortSignal.prototype.addEventListener.apply(signal, given as Parameters<AbortSignal['addEventListener']>)
    })
    vi.spyOn(signal, 'removeEventListener').mockImplementation((...given) => {
      listeners -= 1
      return AbortSignal.prototype.removeEventListener.apply(
        signal,
        given as Parameters<AbortSignal['removeEventListener']>,
      )
    })
    const fake = fakeStore()
    fake.conflicts(100)
    await execute(fake.store, deposit(), { clock: instantClock().clock, signal, retry: { maxRetries: 100 } })
    expect([add.mock.calls.length, most, listeners]).toEqual([100, 1, 0])
    abort()
  })
})
