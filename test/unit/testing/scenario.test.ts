import { describe, expect, test } from 'vitest'
import {
  defineCommand,
  defineEvents,
  defineProjection,
  ensure,
  refuse,
  table,
  type EventOf,
  type RecordedEvent,
} from 'tidemark'
import { given } from 'tidemark/testing'
import { z } from 'zod'

type AccountEvent = { type: 'Deposited'; data: { amount: number } } | { type: 'Withdrawn'; data: { amount: number } }
const events = defineEvents<AccountEvent>()

const deposited = (stream: string, amount: number) => ({ stream, type: 'Deposited', data: { amount } }) as const
const withdrawn = (stream: string, amount: number) => ({ stream, type: 'Withdrawn', data: { amount } }) as const

const withdraw = defineCommand(events, (account: string, amount: number) => ({
  streams: [account],
  initial: 0,
  evolve: (balance: number, event) =>
    event.type === 'Deposited' ? balance + event.data.amount : balance - event.data.amount,
  decide: (balance: number) =>
    balance < amount ? refuse('insufficient funds') : amount === 0 ? [] : [withdrawn(account, amount)],
}))

describe('given events, when a command', () => {
  const past = given<AccountEvent>([deposited('a', 30), deposited('b', 5), deposited('a', 20)])

  test('then these events are stored', async () => {
    await past.when(withdraw('a', 50)).thenEvents([withdrawn('a', 50)])
    await past.when(withdraw('a', 0)).thenEvents([])
    expect(await past.when(withdraw('a', 50)).result()).toMatchObject({
      type: 'accepted',
      position: 4,
      versions: { a: 3 },
    })
  })

  test('then it is refused', async () => {
    await past.when(withdraw('a', 51)).thenRefused('insufficient funds')
    await given<AccountEvent>([]).when(withdraw('a', 1)).thenRefused('insufficient funds')
  })

  test('then it throws, by code or by name', async () => {
    const broken = (decide: () => never) => ({ streams: ['a'], initial: 0, evolve: (sum: number) => sum, decide })
    await past
      .when(
        broken(() => {
          throw new TypeError('bug')
        }),
      )
      .thenThrows('TypeError')
    await past
      .when({
        ...broken(() => {
          throw new TypeError('bug')
        }),
        decide: () => [deposited('elsewhere', 1)],
      })
      .thenThrows('undeclared-stream')
  })

  test('what is not so is told, with what was expected and what came', async () => {
    await expect(past.when(withdraw('a', 50)).thenEvents([withdrawn('a', 49)])).rejects.toThrow(
      /Expected the events to be .*49.*, not .*50/,
    )
    await expect(past.when(withdraw('a', 50)).thenEvents([])).rejects.toThrow('Expected the events')
    await expect(past.when(withdraw('a', 51)).thenEvents([])).rejects.toThrow('insufficient funds')
    await expect(past.when(withdraw('a', 50)).thenRefused('insufficient funds')).rejects.toThrow(
      /Expected the result to be .*refused.*, not .*Withdrawn/,
    )
    await expect(past.when(withdraw('a', 51)).thenRefused('another reason' as 'insufficient funds')).rejects.toThrow(
      'another reason',
    )
    await expect(past.when(withdraw('a', 50)).thenThrows('TypeError')).rejects.toThrow('TypeError')
  })

  test('test runners get what was expected and what came, for a difference', async () => {
    const told = async (work: Promise<unknown>) =>
      work.then(
        () => undefined,
        (error: unknown) => error,
      )
    expect(await told(past.when(withdraw('a', 50)).thenEvents([withdrawn('a', 49)]))).toMatchObject({
      actual: [withdrawn('a', 50)],
      expected: [withdrawn('a', 49)],
    })
    expect(await told(past.when(withdraw('a', 51)).thenRefused('another' as 'insufficient funds'))).toMatchObject({
      actual: { reason: 'insufficient funds' },
      expected: { reason: 'another' },
    })
    expect(await told(past.when(withdraw('a', 50)).thenThrows('TypeError'))).toMatchObject({
      actual: { type: 'accepted' },
      expected: 'TypeError',
    })
    const broken = { streams: ['a'], initial: 0, evolve: (sum: number) => sum, decide: () => [null] as never }
    expect(await told(past.when(broken).thenThrows('TypeError'))).toMatchObject({
      actual: 'invalid-event',
      expected: 'TypeError',
      cause: { code: 'invalid-event' },
    })
  })

  test('one event in two places is refused, as a store would keep one', async () => {
    const twice = events.Deposited({ amount: 30 })
    const again = given<AccountEvent>([
      { stream: 'a', ...twice },
      { stream: 'a', ...twice },
    ])
    const refused = { code: 'invalid-argument', message: expect.stringContaining('history[1]') as string }
    await expect(again.when(withdraw('a', 60)).thenEvents([withdrawn('a', 60)])).rejects.toMatchObject(refused)
    const plain = deposited('a', 30)
    await given<AccountEvent>([plain, plain])
      .when(withdraw('a', 60))
      .thenEvents([withdrawn('a', 60)])
  })

  test('ids count where they are given, meta always', async () => {
    const stamped = {
      streams: ['a'],
      initial: 0,
      evolve: (sum: number) => sum,
      decide: () => [{ ...withdrawn('a', 1), id: 'one', meta: { user: 'u' } }],
    }
    await past.when(stamped).thenEvents([{ ...withdrawn('a', 1), meta: { user: 'u' } }])
    await past.when(stamped).thenEvents([{ ...withdrawn('a', 1), id: 'one', meta: { user: 'u' } }])
    await expect(
      past.when(stamped).thenEvents([{ ...withdrawn('a', 1), id: 'two', meta: { user: 'u' } }]),
    ).rejects.toThrow('two')
    await expect(past.when(stamped).thenEvents([withdrawn('a', 1)])).rejects.toThrow('meta')
  })

  test('events of creators: schemas run once, in the past, in the decision and in what is expected', async () => {
    const shop = defineEvents({ Paid: { schema: z.number().transform((euro) => euro * 100) } })
    const pay = {
      streams: ['a'],
      initial: { sum: 0 },
      evolve: (state: { sum: number }, event: RecordedEvent<EventOf<typeof shop>>) => (
        (state.sum += event.data),
        state
      ),
      decide: ({ sum }: { sum: number }) => [{ ...shop.Paid(sum / 100, { id: 'next' }), stream: 'a' }],
    }
    const paid = given(
      [
        { ...shop.Paid(12), stream: 'a' },
        { ...structuredClone(shop.Paid(1)), stream: 'a' },
      ],
      shop,
    ).when(pay)
    // Twice, with one command: its state begins anew.
    for (const _ of [1, 2]) await paid.thenEvents([{ stream: 'a', type: 'Paid', data: 1300 }])
    await paid.thenEvents([{ ...shop.Paid(13, { id: 'next' }), stream: 'a' }])
    await expect(paid.thenEvents([{ ...shop.Paid(12, { id: 'next' }), stream: 'a' }])).rejects.toThrow('1200')
    await given([], shop)
      .when({ ...pay, decide: () => [{ type: 'Paid' as const, data: 12, stream: 'a' }] })
      .thenThrows('invalid-event')
    await expect(
      given([{ type: 'Paid', data: 12, stream: 'a' }], shop)
        .when(pay)
        .thenEvents([]),
    ).rejects.toMatchObject({ code: 'invalid-event' })
  })

  test('what a command returns wrongly is an error by its code', async () => {
    const sum = { streams: ['a'], initial: 0, evolve: (sum: number) => sum, decide: () => [] }
    await past.when({ ...sum, evolve: (async () => 1) as never }).thenThrows('invalid-argument')
    await past.when({ ...sum, decide: () => [null] as never }).thenThrows('invalid-event')
    let next = 0
    await past.when({ ...sum, discover: () => [`more-${(next += 1)}`] }).thenThrows('too-many-streams')
  })

  test('a past that the catalogue refuses is an error', async () => {
    const strict = defineEvents({ Deposited: {} })
    const command = {
      streams: ['a'],
      initial: 0,
      evolve: (sum: number) => sum,
      decide: () => (ensure(false, 'never asked'), []),
    }
    await expect(
      given([withdrawn('a', 1)] as never, strict)
        .when(command)
        .thenRefused('never asked'),
    ).rejects.toMatchObject({ code: 'invalid-event' })
  })
})

describe('given events, when projected', () => {
  const balances = defineProjection(events, {
    name: 'balances',
    tables: {
      balances: table<{ account: string; balance: number }>({ key: 'account' }),
      odd: table<{ n: number }>({ key: 'n' }),
    },
    on: {
      Deposited: async ({ stream, data }, tables) => {
        if (data.amount < 0) throw new RangeError('a negative deposit')
        if (data.amount % 2 === 1) tables.odd.put({ n: data.amount })
        await tables.balances.update(stream, (row) => ({ account: stream, balance: (row?.balance ?? 0) + data.amount }))
      },
      Withdrawn: ({ stream, data }, tables) =>
        tables.balances.update(stream, (row) => ({ account: stream, balance: (row?.balance ?? 0) - data.amount })),
    },
    onFailure: ({ error }) => (error instanceof RangeError ? 'fatal' : 'retry'),
  })
  const history = [deposited('b', 5), deposited('a', 30), withdrawn('a', 10)]

  test('then these are the rows of the tables that are named', async () => {
    const projected = given<AccountEvent>(history).whenProjected(balances)
    await projected.thenRows({
      balances: [
        { account: 'a', balance: 20 },
        { account: 'b', balance: 5 },
      ],
    })
    await projected.thenRows({
      balances: [
        { account: 'a', balance: 20 },
        { account: 'b', balance: 5 },
      ],
      odd: [{ n: 5 }],
    })
    await projected.thenRows({})
    await given<AccountEvent>([]).whenProjected(balances).thenRows({ balances: [], odd: [] })
  })

  test('a table that there is not is named, with those that there are', async () => {
    for (const table of ['balance', 'toString'])
      await expect(
        given<AccountEvent>(history)
          .whenProjected(balances)
          .thenRows({ [table]: [] } as never),
      ).rejects.toMatchObject({
        code: 'invalid-argument',
        message: expect.stringMatching(new RegExp(`'${table}'.*balances, odd`)) as string,
      })
  })

  test('then it fails', async () => {
    await given<AccountEvent>([deposited('a', -1)])
      .whenProjected(balances)
      .thenFails('RangeError')
  })

  test('what is not so is told', async () => {
    const projected = given<AccountEvent>(history).whenProjected(balances)
    await expect(projected.thenRows({ odd: [] })).rejects.toThrow("Expected the rows of 'odd' to be [], not")
    await expect(projected.thenFails('RangeError')).rejects.toThrow('Expected the projection to be refused')
    await expect(
      given<AccountEvent>([deposited('a', -1)])
        .whenProjected(balances)
        .thenFails('TypeError'),
    ).rejects.toThrow('Expected the handler')
    await expect(
      given<AccountEvent>([deposited('a', -1)])
        .whenProjected(balances)
        .thenRows({}),
    ).rejects.toMatchObject({ code: 'projection-failed' })
  })

  test('pauses before retries take no time', async () => {
    let failures = 40
    const flaky = defineProjection(events, {
      name: 'flaky',
      tables: { seen: table<{ n: number }>({ key: 'n' }) },
      on: {
        Deposited: ({ data }, tables) => {
          if ((failures -= 1) % 3 > 0) throw new TypeError('not yet')
          tables.seen.put({ n: data.amount })
        },
      },
      onFailure: () => 'retry',
    })
    await given<AccountEvent>([deposited('a', 1)])
      .whenProjected(flaky)
      .thenRows({ seen: [{ n: 1 }] })
  })
})

describe('rows with more than JSON has', () => {
  const stored = (value: unknown) =>
    given<AccountEvent>([deposited('a', 1)]).whenProjected(
      defineProjection(events, {
        name: 'held',
        tables: { held: table<{ id: string; value: unknown }>({ key: 'id' }) },
        on: { Deposited: ({ stream }, { held }) => held.put({ id: stream, value }) },
      }),
    )
  const pairs: [kind: string, value: unknown, others: unknown[], shown: string][] = [
    ['a Date', new Date(0), [new Date(1), {}, '1970-01-01T00:00:00.000Z'], '"1970-01-01T00:00:00.000Z"'],
    ['a Map', new Map([['a', 1]]), [new Map([['a', 2]]), new Map(), {}], '{"Map":[["a",1]]}'],
    ['a Set', new Set([1]), [new Set([2]), new Set(), [1]], '{"Set":[1]}'],
    ['bytes', Uint8Array.of(1, 2), [Uint8Array.of(1, 3), Uint8Array.of(1), [1, 2]], '{"Uint8Array":[1,2]}'],
    ['a buffer', Uint8Array.of(7).buffer, [Uint8Array.of(8).buffer, {}], '{"ArrayBuffer":[7]}'],
    ['a pattern', /a/, [/b/, /a/g, {}], '"/a/"'],
    [
      'a Blob',
      new Blob(['ab']),
      [new Blob(['a']), new Blob(['ab'], { type: 'text/plain' }), {}],
      '"2 bytes of no type"',
    ],
    ['a large number', 5n, [6n, 5], '"5n"'],
    ['within others', { list: [new Date(0)] }, [{ list: [new Date(1)] }, { list: [] }], '1970-01-01'],
  ]

  test.for(pairs)('%s is the same as its copy, and no other', async ([, value, others, shown]) => {
    await stored(value).thenRows({ held: [{ id: 'a', value: structuredClone(value) }] })
    for (const other of others)
      await expect(stored(value).thenRows({ held: [{ id: 'a', value: other }] })).rejects.toThrow(shown)
  })
})
