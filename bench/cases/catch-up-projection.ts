/** Projecting a whole log into 1,000 rows, from nothing. */
import { deleteEventStore, openReadModel, runProjection, type TidemarkStore } from 'tidemark'
import { deleteDatabase } from '../raw/database.js'
import { readLog } from '../raw/log.js'
import { allRows, openRows, projectByHandler, projectInOneCommit, projectOneByOne } from '../raw/projection.js'
import { timed, type Case, type Contender, type Sizes } from './case.js'
import { logByHand, logOfLargeCommits } from './logs.js'
import { forms, type CustomerProjection } from './projections.js'
import { assertCustomers, Tally, type DepositEvent } from './workload.js'

const storeName = 'project'
const handMade = 'project-by-hand'
/** 40 records of 256 events. */
const pageRecords = 40

export function projectionCase({ log: count, naive }: Sizes): Case {
  let store: TidemarkStore<DepositEvent>
  let raw: IDBDatabase
  let runs = 0

  const tidemark = (form: string, define: (name: string) => CustomerProjection): Contender => ({
    name: `tidemark, ${form}`,
    async run() {
      const projection = define(`customers-${(runs += 1)}`)
      // Opened before, as an app would that shows it, and as the raw contenders have theirs.
      const view = await openReadModel(store, projection)
      const run = await timed(count, () => runProjection(store, projection))
      assertCustomers(await view.customers.getAll(), count, form)
      await view.close()
      return run
    },
  })
  const byHand = (name: string, events: number, project: (rows: IDBDatabase) => Promise<void>): Contender => ({
    name,
    async run() {
      const database = `raw-customers-${(runs += 1)}`
      const rows = await openRows(database)
      const run = await timed(events, () => project(rows))
      assertCustomers(await allRows(rows), events, name)
      rows.close()
      await deleteDatabase(database)
      return run
    },
  })

  return {
    name: 'project into 1,000 rows',
    async setUp() {
      store = await logOfLargeCommits(storeName, count)
      raw = await logByHand(handMade, count)
    },
    contenders: [
      ...Object.entries(forms).map(([form, define]) => tidemark(form, define)),
      byHand('raw, one commit at the end (P4)', count, (rows) => projectInOneCommit(raw, rows, pageRecords)),
      byHand('raw, the same, get and put of a map', count, (rows) => projectByHandler(raw, rows, pageRecords)),
      byHand('raw, a transaction per event (P1)', naive, (rows) => projectOneByOne(raw, rows, pageRecords, naive)),
      {
        name: 'raw, only reading',
        async run() {
          const tally = new Tally()
          const run = await timed(count, () =>
            readLog(raw, pageRecords, (position, { data }) => tally.add(position, data)),
          )
          tally.assertFirst(count, 'reading')
          return run
        },
      },
    ],
    async tearDown() {
      raw.close()
      await store.close()
      // Takes the read models of all runs along.
      await deleteEventStore(storeName)
      await deleteDatabase(handMade)
    },
  }
}
