// Type tests are checked by `npm run typecheck`; nothing runs them.
import { expectTypeOf } from 'vitest'
import { defineCommand, defineEvents, ensure, execute, refuse, type Command, type Decision, type EventStore, type Refusal } from 'tidemark'

type BankEvent = { type: 'Deposited'; data: { amount: number } } | { type: 'Closed'; data: { by: string } }
const events = defineEvents<BankEvent>()
declare const store: EventStore<BankEvent>

const close = defineCommand(events, {
  streams: ['account-1'],
  initial: { balance: 0, payments: undefined as string | undefined },
  evolve: (state, event) => {
    expectTypeOf(state).toEqualTypeOf<{ balance: number; payments: string | undefined }>()
    expectTypeOf(event.position).toEqualTypeOf<number>()
    // Narrowing on `type` works.
    return event.type === 'Deposited' ? { ...state, balance: state.balance + event.data.amount } : { ...state, payments: event.data.by }
  },
  discover: (state) => (state.payments === undefined ? [] : [state.payments]),
  decide: (state) => (state.balance > 0 ? refuse('not empty') : [{ stream: 'account-1', type: 'Closed', data: { by: 'me' } }]),
})
expectTypeOf(close).toExtend<Command<BankEvent, { balance: number; payments: string | undefined }>>()

const deposit = defineCommand(events, (account: string, amount: number) => ({
  streams: [account],
  initial: 0,
  evolve: (balance, event) => (event.type === 'Deposited' ? balance + event.data.amount : balance),
  decide: (balance) => {
    expectTypeOf(balance).toEqualTypeOf<number>()
    ensure(balance < 100, 'too rich')
    return [{ stream: account, ...events.Deposited({ amount }) }]
  },
}))
expectTypeOf(deposit).parameters.toEqualTypeOf<[account: string, amount: number]>()

const result = await execute(store, close)
if (result.type === 'refused') expectTypeOf(result.reason).toEqualTypeOf<'not empty'>()
else expectTypeOf(result.position).toEqualTypeOf<number>()

await execute(store, {
  streams: ['account-1'],
  initial: 0,
  evolve: (sum, event) => (event.type === 'Deposited' ? sum + event.data.amount : sum),
  decide: (sum) => (sum > 3 ? refuse({ missing: sum }) : []),
})

// On one line each: TypeScript 5.4 reports an error of overloads where the call begins.
// @ts-expect-error an event must be of the catalogue
defineCommand(events, { streams: ['account-1'], initial: 0, evolve: (sum) => sum, decide: () => [{ stream: 'account-1', type: 'Opened', data: {} }] })
// @ts-expect-error the fold answers the state's type
defineCommand(events, { streams: ['account-1'], initial: 0, evolve: () => 'nothing', decide: () => [] })
// @ts-expect-error each event names its stream
defineCommand(events, { streams: ['account-1'], initial: 0, evolve: (sum) => sum, decide: () => [{ type: 'Deposited', data: { amount: 1 } }] })

// What is wrong with an event is said where it is: an object is marked at the value, a function where it is defined, as the compiler looks into no
// function whose parameters have types, unless a creator makes the event. Nothing more is said where the command is made or executed.
const wrong = defineCommand(events, {
  streams: ['account-1'], initial: 0, evolve: (sum) => sum,
  decide: () => [
    // @ts-expect-error the amount is a number
    { stream: 'account-1', type: 'Deposited', data: { amount: 'x' } },
  ],
})
// @ts-expect-error the amount is a number
const wrongData = defineCommand(events, (account: string) => ({
  streams: [account], initial: 0, evolve: (sum) => sum,
  decide: () => [
    { stream: account, type: 'Deposited', data: { amount: 'x' } },
  ],
}))
// @ts-expect-error one of two outcomes has no data
const noData = defineCommand(events, (account: string, most: number) => ({
  streams: [account], initial: 0, evolve: (sum, event) => (event.type === 'Deposited' ? sum + event.data.amount : sum),
  decide: (sum) => {
    if (sum > most) return refuse('too much')
    return [{ stream: account, type: 'Deposited', data: {} }]
  },
}))
// @ts-expect-error no such event
const noSuchType = defineCommand(events, (account: string) => ({
  streams: [account], initial: 0, evolve: (sum) => sum,
  decide: () => [{ stream: account, type: 'Deposted', data: { amount: 1 } }],
}))
// @ts-expect-error no stream
const noStream = defineCommand(events, (account: string) => ({
  streams: [account], initial: 0, evolve: (sum) => sum,
  decide: () => [{ type: 'Deposited', data: { amount: 1 } }],
}))
const byCreator = defineCommand(events, (account: string) => ({
  streams: [account], initial: 0, evolve: (sum) => sum,
  decide: () => [
    // @ts-expect-error the amount is a number
    { ...events.Deposited({ amount: 'x' }), stream: account },
  ],
}))
for (const command of [wrong, wrongData('a'), noData('a', 1), noSuchType('a'), noStream('a'), byCreator('a')]) void (await execute(store, command))
// What is right has its own type, and no other.
expectTypeOf(defineCommand(events, (_account: string) => ({ streams: ['a'], initial: 0, evolve: (sum) => sum, decide: (): Decision<BankEvent> => [] }))).parameters.toEqualTypeOf<[_account: string]>()
const wide = defineCommand(events, { streams: ['a'], initial: 0, evolve: (sum) => sum, decide: (): Decision<BankEvent> => [] })
expectTypeOf(wide).toEqualTypeOf<Command<BankEvent, number, Decision<BankEvent>>>()

expectTypeOf(refuse('no')).toEqualTypeOf<Refusal<'no'>>()
