/** What compaction brings to readers of the whole log, what it costs readers of one stream, and how long it takes. */
import { compactEvents, deleteEventStore, type TidemarkStore } from 'tidemark'
import { timed, type Case, type Run } from './case.js'
import { logOfSmallCommits } from './logs.js'
import { deposit, deposits, streamCount, Tally, type DepositEvent } from './workload.js'

const count = 20_000
/** Most events per record; 1 for a log as it was appended. */
const sizes = [1, 16, 64, 256]
const nameOf = (size: number) => (size === 1 ? 'tidemark, as appended' : `tidemark, compacted to ${size}`)

export function compactionCases(): Case[] {
  const logs = new Map<number, TidemarkStore<DepositEvent>>()
  let users = 0
  const setUp = async () => {
    users += 1
    if (users > 1) return
    for (const size of sizes) {
      const store = await logOfSmallCommits(`compaction-${size}`, count)
      if (size > 1) await compactEvents(store, { eventsPerRecord: size })
      logs.set(size, store)
    }
  }
  const tearDown = async () => {
    users -= 1
    if (users > 0) return
    for (const [size, store] of logs) {
      await store.close()
      await deleteEventStore(`compaction-${size}`)
    }
    logs.clear()
  }
  const over = (run: (store: TidemarkStore<DepositEvent>) => Promise<Run>) =>
    sizes.map((size) => ({ name: nameOf(size), run: () => run(logs.get(size) as TidemarkStore<DepositEvent>) }))

  const stream = deposit(streamCount / 2).stream
  const own = deposits(count).filter((event) => event.stream === stream)
  const sum = own.reduce((total, { data }) => total + data.amount, 0)
  return [
    {
      name: 'compaction: read the log',
      setUp,
      contenders: over(async (store) => {
        const tally = new Tally()
        const run = await timed(count, async () => {
          for await (const { position, data } of store.read()) tally.add(position, data)
        })
        tally.assertFirst(count, 'read')
        return run
      }),
      tearDown,
    },
    {
      name: `compaction: read one stream of ${streamCount}`,
      setUp,
      contenders: over(async (store) => {
        let [events, amount] = [0, 0]
        const run = await timed(own.length, async () => {
          for await (const { data } of store.readStream(stream)) {
            events += 1
            amount += data.amount
          }
        })
        if (events !== own.length || amount !== sum)
          throw new Error(`readStream returned ${events} events of ${amount} in place of ${own.length} of ${sum}`)
        return run
      }),
      tearDown,
    },
    {
      name: 'compaction: compact 5,000 single events',
      contenders: sizes.slice(1).map((size) => ({
        name: nameOf(size),
        async run() {
          const store = await logOfSmallCommits('compaction-now', 5_000)
          const run = await timed(5_000, async () => {
            const { before, after } = await compactEvents(store, { eventsPerRecord: size })
            if (before !== 5_000 || after > 5_000 / size + size)
              throw new Error(`compacting left ${after} records of ${before}`)
          })
          const tally = new Tally()
          for await (const { position, data } of store.read()) tally.add(position, data)
          tally.assertFirst(5_000, 'read')
          await store.close()
          await deleteEventStore('compaction-now')
          return run
        },
      })),
    },
  ]
}
