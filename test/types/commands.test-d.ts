// Type tests are checked by `npm run typecheck`; nothing runs them.
import { expectTypeOf } from 'vitest'
import { defineCommand, defineEvents, ensure, execute, refuse, type Command, type EventStore, type Refusal } from 'tidemark'

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

expectTypeOf(refuse('no')).toEqualTypeOf<Refusal<'no'>>()
