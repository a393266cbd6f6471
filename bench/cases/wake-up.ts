/** An event that is appended in this tab is projected in another one, and its row is seen here. */
import {
  deleteEventStore,
  openEventStore,
  openReadModel,
  startProjection,
  type LiveQuery,
  type ReadModel,
  type TidemarkStore,
} from 'tidemark'
import { leaderByHand, wakeUpByHand } from '../raw/wake-up.js'
import { timedEach, type Case, type Sizes } from './case.js'
import { forms } from './projections.js'
import { deposit, events, type Customer, type DepositEvent } from './workload.js'

const storeName = 'wake-up'
const customer = 'customer-0'
const projection = forms.fold('customers')

/** What the other tab does: it leads until it is told to stop. */
export const leader = {
  async start(): Promise<void> {
    const store = await openEventStore({ name: storeName, events, durability: 'relaxed' })
    const running = startProjection(store, projection)
    await running.caughtUp(await store.head())
    await leaderByHand.start()
    leader.stop = async () => {
      await leaderByHand.stop()
      await running.stop()
      await store.close()
    }
  },
  stop: async () => {},
}

/** `inOtherTab` calls {@link leader} there. */
export function wakeUpCase(inOtherTab: (task: 'start' | 'stop') => Promise<void>, { waits }: Sizes): Case {
  let store: TidemarkStore<DepositEvent>
  let view: ReadModel<typeof projection.tables>
  let live: LiveQuery<Customer | undefined>
  let unsubscribe: () => void
  let byHand: Awaited<ReturnType<typeof wakeUpByHand>>
  let count = 0

  const append = async () => {
    const { stream, type, data } = deposit(count)
    await store.append({ stream, events: [{ type, data: { ...data, customer } }] })
    count += 1
  }
  const seen = () =>
    new Promise<void>((resolve, reject) => {
      const look = () => {
        const snapshot = live.getSnapshot()
        if (snapshot.status === 'error') reject(snapshot.error)
        if (snapshot.status !== 'ready' || (snapshot.data?.deposits ?? 0) < count) return
        stop()
        resolve()
      }
      const stop = live.subscribe(look)
      look()
    })
  const check = async () => {
    const row = await view.customers.get(customer)
    if (row?.deposits !== count) throw new Error(`The other tab counted ${row?.deposits} events in place of ${count}`)
  }

  return {
    name: 'wake-up across two tabs',
    async setUp() {
      store = await openEventStore({ name: storeName, events, durability: 'relaxed' })
      await append()
      await inOtherTab('start')
      view = await openReadModel(store, projection)
      live = view.live(({ customers }) => customers.get(customer))
      unsubscribe = live.subscribe(() => {})
      await seen()
      byHand = await wakeUpByHand()
    },
    contenders: [
      {
        name: 'tidemark, until the row is seen',
        async run() {
          const run = await timedEach(waits, async () => {
            await append()
            await seen()
          })
          await check()
          return run
        },
      },
      {
        name: 'tidemark, until the append resolves',
        async run() {
          const run = await timedEach(waits, append, seen)
          await check()
          return run
        },
      },
      {
        name: 'raw, until the row is seen',
        run: () =>
          timedEach(waits, async () => {
            const seen = byHand.seen()
            await byHand.append()
            await seen
          }),
      },
      {
        name: 'raw, until the append resolves',
        async run() {
          let seen: Promise<void>
          return timedEach(
            waits,
            () => {
              seen = byHand.seen()
              return byHand.append()
            },
            () => seen,
          )
        },
      },
    ],
    async tearDown() {
      unsubscribe()
      await inOtherTab('stop')
      await byHand.close()
      await view.close()
      await store.close()
      await deleteEventStore(storeName)
    },
  }
}
