/** What an event costs on logs of growing length: it should cost the same on each. */
import {
  deleteEventStore,
  openReadModel,
  runProjection,
  startProjection,
  type ProjectionHandle,
  type TidemarkStore,
} from 'tidemark'
import { timed, timedEach, type Case, type Contender, type Run, type Sizes } from './case.js'
import { logOfLargeCommits } from './logs.js'
import { forms } from './projections.js'
import { assertCustomers, deposit, Tally, type DepositEvent } from './workload.js'

/** A log of some length, shared by the cases that run on it. */
interface ScaledLog {
  readonly name: string
  readonly store: TidemarkStore<DepositEvent>
  /** Leads a projection of its own, for the case that waits for single rows. */
  readonly running: ProjectionHandle
  /** Events that it has by now. */
  count: number
}

export function scaleCases({ scale, waits }: Sizes): Case[] {
  if (scale.length === 0) return []
  const logs: ScaledLog[] = []
  let runs = 0

  const appendNext = async (log: ScaledLog) => {
    const { stream, type, data } = deposit(log.count)
    const { position } = await log.store.append({ stream, events: [{ type, data }] })
    log.count += 1
    return position
  }
  /** One contender for each length; the log is there only once the case is set up. */
  const each = (run: (log: ScaledLog) => Promise<Run>): Contender[] =>
    scale.map((start, index) => ({
      name: `tidemark, ${start.toLocaleString('en')} events`,
      run: () => run(logs[index] as ScaledLog),
    }))

  const read = each(async ({ store, count }) => {
    const tally = new Tally()
    const run = await timed(count, async () => {
      for (let after = 0, head = Infinity; after < head;) {
        const page = await store.readPage({ after, limit: 10_240 })
        for (const { position, data } of page.events) tally.add(position, data)
        after = page.scannedTo
        head = page.head
      }
    })
    tally.assertFirst(count, 'readPage')
    return run
  })
  const project = each(async ({ store, count }) => {
    const projection = forms.fold(`scaled-${(runs += 1)}`)
    const view = await openReadModel(store, projection)
    const run = await timed(count, () => runProjection(store, projection))
    assertCustomers(await view.customers.getAll(), count, 'fold')
    await view.close()
    return run
  })
  const append = each((log) => timedEach(waits, () => appendNext(log)))
  const oneRow = each((log) => timedEach(waits, async () => log.running.caughtUp(await appendNext(log))))

  // Any of the cases may run without the others.
  let ready: Promise<void> | undefined
  let dropped: Promise<void> | undefined
  const fill = async () => {
    for (const count of scale) {
      const name = `scale-${count}`
      const store = await logOfLargeCommits(name, count)
      const running = startProjection(store, forms.fold('customers'))
      await running.caughtUp(count)
      logs.push({ name, store, running, count })
    }
  }
  const drop = async () => {
    for (const { name, store, running } of logs) {
      await running.stop()
      await store.close()
      await deleteEventStore(name)
    }
  }
  return [
    { name: 'scale: read', contenders: read },
    { name: 'scale: project', contenders: project },
    { name: 'scale: append one', contenders: append },
    { name: 'scale: one event, until its row is committed', contenders: oneRow },
  ].map((each) => ({ ...each, setUp: () => (ready ??= fill()), tearDown: () => (dropped ??= drop()) }))
}
