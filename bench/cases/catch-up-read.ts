/** Reading a whole log in pages, as everything that catches up does. */
import { deleteEventStore, type TidemarkStore } from 'tidemark'
import { deleteDatabase } from '../raw/database.js'
import { openLog, readLog } from '../raw/log.js'
import { timed, type Case, type Sizes } from './case.js'
import { logByHand, logOfLargeCommits, logOfSmallCommits } from './logs.js'
import { Tally, type DepositEvent } from './workload.js'

const handMade = 'read-by-hand'

export function readCases({ log, smallCommits }: Sizes): Case[] {
  return [
    readCase({
      name: 'read, large records',
      store: 'read-large',
      count: log,
      page: 10_240,
      pageRecords: 40,
      fill: logOfLargeCommits,
      byHand: (count) => logByHand(handMade, count),
    }),
    readCase({
      name: 'read, records of 1',
      store: 'read-small',
      count: smallCommits,
      page: 1_000,
      pageRecords: 1_000,
      fill: logOfSmallCommits,
      byHand: () => openLog('read-small'),
    }),
  ]
}

interface ReadCase {
  readonly name: string
  readonly store: string
  readonly count: number
  /** Events of a page, and the same in records. */
  readonly page: number
  readonly pageRecords: number
  readonly fill: (name: string, count: number) => Promise<TidemarkStore<DepositEvent>>
  /** What is read without tidemark. */
  readonly byHand: (count: number) => Promise<IDBDatabase>
}

function readCase({ name, store: storeName, count, page, pageRecords, fill, byHand }: ReadCase): Case {
  let store: TidemarkStore<DepositEvent>
  let raw: IDBDatabase
  const checked = async (who: string, work: (tally: Tally) => Promise<void>) => {
    const tally = new Tally()
    const run = await timed(count, () => work(tally))
    tally.assertFirst(count, who)
    return run
  }
  return {
    name,
    async setUp() {
      store = await fill(storeName, count)
      raw = await byHand(count)
    },
    contenders: [
      {
        name: 'tidemark, readPage',
        run: () =>
          checked('readPage', async (tally) => {
            for (let after = 0, head = Infinity; after < head;) {
              const read = await store.readPage({ after, limit: page })
              for (const { position, data } of read.events) tally.add(position, data)
              after = read.scannedTo
              head = read.head
            }
          }),
      },
      {
        name: 'tidemark, for await',
        run: () =>
          checked('read', async (tally) => {
            for await (const { position, data } of store.read()) tally.add(position, data)
          }),
      },
      {
        name: 'raw, getAll and JSON.parse',
        run: () =>
          checked('getAll', (tally) => readLog(raw, pageRecords, (position, { data }) => tally.add(position, data))),
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
