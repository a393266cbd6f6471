/** Catching up on the main thread of a page that is in use, on a slow processor. The driver throttles it and types. */
import { deleteEventStore, openReadModel, runProjection, type TidemarkStore } from 'tidemark'
import { deleteDatabase } from '../raw/database.js'
import { allRows, openRows, projectInOneCommit } from '../raw/projection.js'
import { timed, type Case, type Sizes } from './case.js'
import { logByHand, logOfLargeCommits } from './logs.js'
import { forms } from './projections.js'
import { watched } from './watched.js'
import { assertCustomers, type DepositEvent } from './workload.js'

const storeName = 'smooth'
const handMade = 'smooth-by-hand'

export function smoothCase({ log: count, throttle }: Sizes): Case {
  let store: TidemarkStore<DepositEvent>
  let raw: IDBDatabase
  let runs = 0
  return {
    name: `main thread while projecting, at ${throttle}-fold throttling`,
    throttle,
    async setUp() {
      store = await logOfLargeCommits(storeName, count)
      raw = await logByHand(handMade, count)
    },
    contenders: [
      ...Object.entries(forms).map(([form, define]) => ({
        name: `tidemark, ${form}`,
        async run() {
          const projection = define(`customers-${(runs += 1)}`)
          const view = await openReadModel(store, projection)
          const run = await watched(() => timed(count, () => runProjection(store, projection)))
          assertCustomers(await view.customers.getAll(), count, form)
          await view.close()
          return run
        },
      })),
      {
        name: 'raw, one commit at the end (P4)',
        async run() {
          const name = `raw-smooth-${(runs += 1)}`
          const rows = await openRows(name)
          const run = await watched(() => timed(count, () => projectInOneCommit(raw, rows, 40)))
          assertCustomers(await allRows(rows), count, 'P4')
          rows.close()
          await deleteDatabase(name)
          return run
        },
      },
    ],
    async tearDown() {
      raw.close()
      await store.close()
      await deleteEventStore(storeName)
      await deleteDatabase(handMade)
    },
  }
}
