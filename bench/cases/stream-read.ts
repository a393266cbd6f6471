/** Reading one stream of a log that came in commits of one event. */
import { deleteEventStore, type TidemarkStore } from 'tidemark'
import { deleteDatabase, openDatabase } from '../raw/database.js'
import { readIndexedStream, recordPerEventIndexed, writerOf } from '../raw/layouts.js'
import { timed, type Case, type Sizes } from './case.js'
import { logOfSmallCommits } from './logs.js'
import { batchesOf, deposit, deposits, streamCount, type DepositEvent } from './workload.js'

const storeName = 'stream'
const rawName = 'raw-stream'

export function streamCase({ smallCommits }: Sizes): Case {
  const count = smallCommits / streamCount
  const stream = deposit(streamCount / 2).stream
  /** What the amounts of the stream add up to. */
  const sum = deposits(smallCommits)
    .filter((event) => event.stream === stream)
    .reduce((total, { data }) => total + data.amount, 0)
  let store: TidemarkStore<DepositEvent>
  let raw: IDBDatabase
  const checked = async (who: string, read: (add: (version: number, amount: number) => void) => Promise<void>) => {
    let [events, amount] = [0, 0]
    const run = await timed(count, () =>
      read((version, value) => {
        events += 1
        amount += value
        if (version !== events) throw new Error(`${who} returned version ${version} in place of ${events}`)
      }),
    )
    if (events !== count || amount !== sum)
      throw new Error(`${who} returned ${events} events of ${amount} in place of ${count} of ${sum}`)
    return run
  }
  return {
    name: 'read one stream of 100, records of 1',
    async setUp() {
      store = await logOfSmallCommits(storeName, smallCommits)
      raw = await openDatabase(rawName, recordPerEventIndexed.create)
      const write = writerOf(recordPerEventIndexed, raw)
      for (const batch of batchesOf(deposits(smallCommits), 5_000)) await write(batch)
    },
    contenders: [
      {
        name: 'tidemark, readStream',
        run: () =>
          checked('readStream', async (add) => {
            for await (const { version, data } of store.readStream(stream)) add(version, data.amount)
          }),
      },
      {
        name: 'raw, an index per event (L2)',
        run: () =>
          checked('getAll', async (add) => {
            for (const { version, data } of await readIndexedStream(raw, stream)) add(version, data.amount)
          }),
      },
    ],
    async tearDown() {
      raw.close()
      await deleteDatabase(rawName)
      await store.close()
      await deleteEventStore(storeName)
    },
  }
}
