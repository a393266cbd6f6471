/** A log and its read model together, where tidemark's peers can do the work too. */
import { timed, timedEach, type Case, type Sizes } from './case.js'
import type { System, SystemStore } from './system.js'
import { assertCustomers, batchesOf, deposits } from './workload.js'

/** Makes names of databases that no other caller has. */
let runs = 0

/** Commits of 100 events, until the rows of all of them are committed. */
export function appendAndModelCase(systems: readonly System[], { modelled }: Sizes): Case {
  return {
    name: 'append and model, 100 per commit',
    contenders: systems.map(({ name, open }) => ({
      name,
      async run() {
        const store = await open(`model-${(runs += 1)}`)
        const commits = [...batchesOf(deposits(modelled), 100)]
        const run = await timed(modelled, async () => {
          for (const commit of commits) await store.append(commit)
          await store.settled()
        })
        await check(name, store, modelled)
        await store.destroy()
        return run
      },
    })),
  }
}

/** One event at a time on a log that has some already, each until its row is committed. */
export function oneEventCase(systems: readonly System[], { modelled, waits }: Sizes): Case {
  const stores = new Map<System, { store: SystemStore; count: number }>()
  return {
    name: 'one event, until its row is committed',
    async setUp() {
      for (const system of systems) {
        const store = await system.open(`one-event-${(runs += 1)}`)
        for (const commit of batchesOf(deposits(modelled), 1_000)) await store.append(commit)
        await store.settled()
        stores.set(system, { store, count: modelled })
      }
    },
    contenders: systems.map((system) => ({
      name: system.name,
      async run() {
        const opened = stores.get(system) as { store: SystemStore; count: number }
        const more = deposits(waits, opened.count)
        const run = await timedEach(waits, async (n) => {
          await opened.store.append(more.slice(n, n + 1))
          await opened.store.settled()
        })
        opened.count += waits
        await check(system.name, opened.store, opened.count)
        return run
      },
    })),
    async tearDown() {
      for (const { store } of stores.values()) await store.destroy()
    },
  }
}

async function check(name: string, store: SystemStore, count: number): Promise<void> {
  const events = await store.count()
  if (events !== count) throw new Error(`${name} has ${events} events in place of ${count}`)
  assertCustomers(await store.rows(), count, name)
}
