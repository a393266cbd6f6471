/** Z1–Z3 and Z5: many writers at once, and nothing is lost, doubled or decided on an old view. */
import { describe, expect, test } from 'vitest'
import {
  CommandConflictError,
  defineCommand,
  defineEvents,
  execute,
  refuse,
  type CommandResult,
  type RecordedEvent,
  type TidemarkStore,
} from 'tidemark'
import { virtualClock } from 'tidemark/testing'

export type AccountEvent =
  | { type: 'Deposited'; data: { amount: number; writer: number } }
  | { type: 'Withdrawn'; data: { amount: number; writer: number } }
const events = defineEvents<AccountEvent>()

const writers = 20
const rounds = 8
/** No account may go further below zero. */
const overdraft = 100
/** Without pauses, so that writers meet as often as they can. */
const retry = { maxRetries: 20, delay: 0 } as const

const deposit = defineCommand(events, (account: string, amount: number, writer: number) => ({
  streams: [account],
  initial: 0,
  evolve: (count: number) => count + 1,
  decide: () => [{ stream: account, type: 'Deposited', data: { amount, writer } }],
}))

const balanceAfter = (balance: number, { type, data }: AccountEvent) =>
  type === 'Deposited' ? balance + data.amount : balance - data.amount

const transfer = defineCommand(events, (from: string, to: string, amount: number, writer: number) => ({
  streams: [from, to],
  initial: 0,
  evolve: (balance: number, event: RecordedEvent<AccountEvent>) =>
    event.stream === from ? balanceAfter(balance, event) : balance,
  decide: (balance: number) =>
    balance - amount < -overdraft
      ? refuse('overdrawn')
      : [
          { stream: from, type: 'Withdrawn', data: { amount, writer } },
          { stream: to, type: 'Deposited', data: { amount, writer } },
        ],
}))

async function collect(store: TidemarkStore<AccountEvent>): Promise<RecordedEvent<AccountEvent>[]> {
  const all: RecordedEvent<AccountEvent>[] = []
  for await (const event of store.read()) all.push(event)
  return all
}

const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1)

/** What a command did; `undefined` if its retries ran out, which is no failure here. */
const attempt = (result: Promise<CommandResult<AccountEvent, unknown>>) =>
  result.catch((error: unknown) => {
    if (error instanceof CommandConflictError) return undefined
    throw error
  })

/**
 * @param open instances of one new store, as many tabs have them; where a log is not shared, the same instance each time
 */
export function stressContract(
  name: string,
  open: (instances: number) => Promise<TidemarkStore<AccountEvent>[]>,
): void {
  describe(`stress: ${name}`, () => {
    /** Every writer does all of its rounds, all writers at once, each on an instance of its own. */
    const storm = async <R>(
      stores: readonly TidemarkStore<AccountEvent>[],
      tasks: number,
      work: (store: TidemarkStore<AccountEvent>, writer: number, round: number) => Promise<R>,
    ) =>
      Promise.all(
        Array.from({ length: tasks }, async (_, writer) => {
          const results: R[] = []
          for (let round = 0; round < rounds; round += 1)
            results.push(await work(stores[writer % stores.length] as TidemarkStore<AccountEvent>, writer, round))
          return results
        }),
      )
    const closing = async (stores: readonly TidemarkStore<AccountEvent>[]) => {
      for (const store of stores) await store.close()
    }

    test(
      'Z1: 20 writers deposit into one stream; it has as many events as there were successes',
      { timeout: 180_000 },
      async () => {
        const stores = await open(writers)
        const results = await storm(stores, writers, (store, writer) =>
          attempt(execute(store, deposit('account', 1, writer), { retry })),
        )
        const log = await collect(stores[0] as TidemarkStore<AccountEvent>)
        const successes = results.map((own) => own.filter((result) => result?.type === 'accepted').length)
        expect(log.map(({ version }) => version)).toEqual(upTo(log.length))
        expect(results.map((_, writer) => log.filter(({ data }) => data.writer === writer).length)).toEqual(successes)
        // Who conflicts was overtaken by somebody who did not.
        expect(log.length).toBeGreaterThanOrEqual(rounds)
        await closing(stores)
      },
    )

    test(
      'Z2: 20 writers transfer between 10 accounts at random; the sum is 0, and no account was ever overdrawn',
      { timeout: 180_000 },
      async () => {
        const stores = await open(writers)
        const { random } = virtualClock({ seed: 20 })
        const account = () => Math.floor(random() * 10)
        const plans = upTo(writers * rounds).map(() => {
          const from = account()
          return { from, to: (from + 1 + Math.floor(random() * 9)) % 10, amount: 1 + Math.floor(random() * 60) }
        })
        const results = await storm(stores, writers, (store, writer, round) => {
          const { from, to, amount } = plans[writer * rounds + round] as (typeof plans)[number]
          return attempt(execute(store, transfer(`account-${from}`, `account-${to}`, amount, writer), { retry }))
        })
        const log = await collect(stores[0] as TidemarkStore<AccountEvent>)
        const balances = new Map<string, number>()
        for (const event of log) {
          const balance = balanceAfter(balances.get(event.stream) ?? 0, event)
          balances.set(event.stream, balance)
          expect(balance, `${event.stream} at position ${event.position}`).toBeGreaterThanOrEqual(-overdraft)
        }
        expect([...balances.values()].reduce((sum, balance) => sum + balance, 0)).toBe(0)
        const all = results.flat()
        expect(log).toHaveLength(2 * all.filter((result) => result?.type === 'accepted').length)
        expect(new Set(all.map((result) => result?.type))).toContain('refused')
        await closing(stores)
      },
    )

    test(
      'Z3: 20 writers deposit into streams of their own; every one succeeds at the first attempt',
      { timeout: 180_000 },
      async () => {
        const stores = await open(writers)
        const results = await storm(stores, writers, (store, writer) =>
          execute(store, deposit(`account-${writer}`, 1, writer), { retry: { maxRetries: 0 } }),
        )
        expect(results.flat().every((result) => result.type === 'accepted' && result.attempts === 1)).toBe(true)
        const log = await collect(stores[0] as TidemarkStore<AccountEvent>)
        expect(log.map(({ position }) => position)).toEqual(upTo(writers * rounds))
        for (const writer of upTo(writers)) {
          expect(log.filter(({ stream }) => stream === `account-${writer - 1}`).map(({ version }) => version)).toEqual(
            upTo(rounds),
          )
        }
        await closing(stores)
      },
    )

    test('Z5: a hundred writers over five instances: every deposit is there once', { timeout: 180_000 }, async () => {
      const stores = await open(5)
      await storm(stores, 100, (store, writer) =>
        store.append({ stream: `account-${writer % 7}`, events: [{ type: 'Deposited', data: { amount: 1, writer } }] }),
      )
      const log = await collect(stores[0] as TidemarkStore<AccountEvent>)
      expect(log.map(({ position }) => position)).toEqual(upTo(100 * rounds))
      for (let writer = 0; writer < 100; writer += 1)
        expect(log.filter(({ data }) => data.writer === writer)).toHaveLength(rounds)
      await closing(stores)
    })
  })
}
