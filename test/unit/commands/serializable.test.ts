// Commands side by side, over a store whose calls are answered in any order and fail on both sides of the act.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  execute,
  refuse,
  type Command,
  type CommandEvent,
  type Decision,
  type RecordedEvent,
  type TidemarkStore,
} from 'tidemark'
import { openEventStore } from 'tidemark/memory'
import { faulty } from 'tidemark/testing'
import type { CommandStore } from '../../../src/commands/execute.js'
import { instantClock } from './fake-store.js'

type LedgerEvent =
  | { type: 'Opened'; data: { account: string } }
  | { type: 'Moved'; data: { amount: number } }
  | { type: 'Audited'; data: { total: number } }
type Ledger = Readonly<Record<string, number>>

const accounts = ['account-0', 'account-1', 'account-2']
const account = fc.constantFrom(...accounts)
const amount = fc.integer({ min: 1, max: 40 })

type Plan =
  | { readonly does: 'open'; readonly account: string }
  | { readonly does: 'deposit'; readonly account: string; readonly amount: number }
  | { readonly does: 'transfer'; readonly from: string; readonly to: string; readonly amount: number }
  | { readonly does: 'audit' }

const plan: fc.Arbitrary<Plan> = fc.oneof(
  fc.record({ does: fc.constant('open' as const), account }),
  fc.record({ does: fc.constant('deposit' as const), account, amount }),
  fc
    .record({ does: fc.constant('transfer' as const), from: account, to: account, amount })
    .filter(({ from, to }) => from !== to),
  fc.constant({ does: 'audit' as const }),
)

/** The command of a plan. Its number stands in `meta` of each of its events. */
function commandOf(what: Plan, by: number): Command<LedgerEvent, Ledger> {
  const event = (stream: string, event: LedgerEvent): CommandEvent<LedgerEvent> => ({ stream, ...event, meta: { by } })
  const moved = (stream: string, amount: number) => event(stream, { type: 'Moved', data: { amount } })
  const folding = {
    initial: {} as Ledger,
    evolve: (state: Ledger, { stream, type, data }: RecordedEvent<LedgerEvent>): Ledger =>
      type === 'Moved'
        ? { ...state, [stream]: (state[stream] ?? 0) + data.amount }
        : type === 'Opened'
          ? { ...state, [data.account]: state[data.account] ?? 0 }
          : state,
  }
  const balance = (state: Ledger, name: string) => state[name] ?? 0
  switch (what.does) {
    case 'open':
      return {
        ...folding,
        streams: ['index'],
        decide: (state) =>
          what.account in state
            ? refuse('open already')
            : [event('index', { type: 'Opened', data: { account: what.account } })],
      }
    case 'deposit':
      return { ...folding, streams: [what.account], decide: () => [moved(what.account, what.amount)] }
    case 'transfer':
      return {
        ...folding,
        streams: [what.from, what.to],
        decide: (state) =>
          balance(state, what.from) < what.amount
            ? refuse('insufficient funds')
            : [moved(what.from, -what.amount), moved(what.to, what.amount)],
      }
    case 'audit':
      return {
        ...folding,
        streams: ['index'],
        discover: (state) => Object.keys(state),
        decide: (state) => [
          event('index', {
            type: 'Audited',
            data: { total: Object.values(state).reduce((sum, each) => sum + each, 0) },
          }),
        ],
      }
    default:
      throw what satisfies never
  }
}

/** What a command decides on a log that stands still. */
function decideOn(
  log: readonly RecordedEvent<LedgerEvent>[],
  command: Command<LedgerEvent, Ledger>,
): Decision<LedgerEvent> {
  let state = command.initial as Ledger
  const queue = [...command.streams]
  for (const stream of queue) {
    for (const event of log) if (event.stream === stream) state = command.evolve(state, event)
    for (const found of command.discover?.(state) ?? []) if (!queue.includes(found)) queue.push(found)
  }
  return command.decide(state)
}

const shape = (events: readonly CommandEvent<LedgerEvent>[]) =>
  events.map(({ stream, type, data, meta }) => ({ stream, type, data, meta }))

test('C2–C5: commands side by side come out as if one had been carried out after the other, in the order of the log', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      fc.array(plan, { minLength: 2, maxLength: 8 }),
      fc.integer(),
      fc.boolean(),
      async (scheduler, plans, seed, failing) => {
        const inner = await openEventStore<LedgerEvent>({ name: 'ledger' })
        await inner.append([
          { stream: 'index', events: [{ type: 'Opened', data: { account: 'account-0' } }] },
          { stream: 'account-0', events: [{ type: 'Moved', data: { amount: 50 } }] },
        ])
        const broken = faulty(
          inner,
          failing
            ? { seed, probabilities: { readStream: 0.1, append: { before: 0.15, after: 0.15 }, conflict: 0.1 } }
            : {},
        )
        const store = inAnyOrder(broken, scheduler)
        const commands = plans.map(commandOf)
        const { clock } = instantClock()
        const outcomes = await scheduler.waitFor(
          Promise.all(
            commands.map((command) =>
              execute(store, command, { retry: { maxRetries: 50 }, clock }).then(
                (result) => ({ result }),
                (error: unknown) => ({ error: error as { outcome?: unknown } }),
              ),
            ),
          ),
        )

        const log: RecordedEvent<LedgerEvent>[] = []
        for await (const event of inner.read()) log.push(event)
        const before = (position: number) => log.slice(0, position - 1)
        for (const [by, command] of commands.entries()) {
          const own = log.filter(({ meta }) => (meta as { by?: number } | undefined)?.by === by)
          const outcome = outcomes[by]
          const first = own[0]
          if (first !== undefined) {
            // At its place in the log it decided what it would decide there, and all of it stands there at once.
            expect(own.map(({ position }) => position)).toEqual(own.map((_, index) => first.position + index))
            expect(shape(own)).toEqual(shape(decideOn(before(first.position), command) as CommandEvent<LedgerEvent>[]))
          }
          if (outcome === undefined || 'error' in outcome) {
            expect(failing, 'nothing fails by itself').toBe(true)
            if (first !== undefined) expect(outcome?.error.outcome).toBe('unknown')
          } else if (outcome.result.type === 'accepted') expect(shape(own)).toEqual(shape(outcome.result.events))
          else {
            expect(first).toBeUndefined()
            const reason = { type: 'refused', reason: outcome.result.reason }
            expect(
              [...log.map(({ position }) => before(position)), log].map((past) => decideOn(past, command)),
              'a moment at which it was right to refuse',
            ).toContainEqual(reason)
          }
        }
        await inner.close()
      },
    ),
    { numRuns: 150 },
  )
})

/** The same store, whose calls begin when the scheduler says so. */
function inAnyOrder(store: TidemarkStore<LedgerEvent>, scheduler: fc.Scheduler): CommandStore<LedgerEvent> {
  const turn = scheduler.scheduleFunction(async () => {})
  return {
    async *readStream(...args) {
      await turn()
      yield* store.readStream(...args)
    },
    async append(...args) {
      await turn()
      return store.append(...args)
    },
  }
}
