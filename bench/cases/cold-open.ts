/** What the driver does around browsers that it starts again: fill once, then open and read the rows in each. */
import { timed, type Run } from './case.js'
import type { System } from './system.js'
import { assertCustomers, batchesOf, deposits, type Customer } from './workload.js'

/** Fills a log and its rows. The last commits are small, as they are in a log that is in use. */
export async function fill({ name, open }: System, database: string, count: number): Promise<void> {
  const store = await open(database)
  const all = deposits(count)
  const last = 10
  for (const batch of batchesOf(all.slice(0, -last), 5_000)) await store.append(batch)
  for (const one of all.slice(-last)) await store.append([one])
  await store.settled()
  assertCustomers(await store.rows(), count, name)
  await store.close()
}

/** From opening to all rows in hand. The browser is closed afterwards, and the store with it. */
export async function coldOpen({ name, open }: System, database: string, count: number): Promise<Run> {
  let rows: Customer[] = []
  const run = await timed(1, async () => {
    const store = await open(database)
    rows = await store.rows()
  })
  assertCustomers(rows, count, name)
  return { ...run, waits: [run.ms] }
}
