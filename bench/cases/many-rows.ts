/** A read model of many rows: its events should cost what those of a small one cost, and its runner remember no more than it has room for. */
import { defineProjection, deleteReadModel, destroyEventStore, openReadModel, startProjection, table, type ProjectionHandle, type TidemarkStore } from 'tidemark'
import { timed, timedEach, type Case, type Contender, type Sizes } from './case.js'
import { logOfLargeCommits } from './logs.js'
import { deposit, events, type DepositEvent } from './workload.js'

interface Row {
  readonly id: string
  readonly times: number
  readonly total: number
}

const count = 200_000
const sizes = [1_000, 200_000]
const storeName = 'many-rows'

/** Neighbours in the log are far from each other in the table: 7,919 is prime. */
const projectionOf = (name: string, rows: number) =>
  defineProjection(events, {
    name, tables: { rows: table<Row>({ key: 'id' }) },
    fold: {
      rows: {
        key: ({ position }) => `row-${(position * 7_919) % rows}`,
        evolve: (row, { data, position }) => ({ id: `row-${(position * 7_919) % rows}`, times: (row?.times ?? 0) + 1, total: (row?.total ?? 0) + data.amount }),
      },
    },
  })

/** MiB that are in use once the garbage is gone; nothing where the browser does not say. */
function heapInUse(): number | undefined {
  window.gc?.()
  const bytes = (performance as { memory?: { usedJSHeapSize: number } }).memory?.usedJSHeapSize
  return bytes === undefined ? undefined : bytes / 1024 / 1024
}

export function manyRowsCases({ scale, waits }: Sizes): Case[] {
  if (scale.length === 0) return []
  let store: TidemarkStore<DepositEvent>
  let appended = count
  let runs = 0
  const standing = new Map<number, ProjectionHandle>()
  const contenders = (run: (rows: number) => ReturnType<Contender['run']>): Contender[] =>
    sizes.map((rows) => ({ name: `tidemark, ${rows.toLocaleString('en')} rows`, run: () => run(rows) }))
  /** @throws Error if the rows are not those of every event */
  const check = async (name: string, rows: number, total: number) => {
    const view = await openReadModel(store, projectionOf(name, rows))
    const all = await view.rows.getAll()
    const times = all.reduce((sum, row) => sum + row.times, 0)
    if (all.length !== rows || times !== total || (await view.rows.count()) !== rows) throw new Error(`${all.length} rows have ${times} events in place of ${rows} and ${total}`)
    await view.close()
  }

  const project = contenders(async (rows) => {
    const name = `many-${(runs += 1)}`
    const projection = projectionOf(name, rows)
    const before = heapInUse()
    const upTo = appended
    let running: ProjectionHandle | undefined
    const run = await timed(upTo, async () => {
      running = startProjection(projection, store)
      await running.caughtUp(upTo)
    })
    const after = heapInUse()
    await check(name, rows, upTo)
    await running?.stop()
    await deleteReadModel(store, projection)
    return before === undefined || after === undefined ? run : { ...run, heap: after - before }
  })
  const oneRow = contenders(async (rows) => {
    const run = await timedEach(waits, async () => {
      const { stream, type, data } = deposit(appended)
      appended = (await store.append({ stream, events: [{ type, data }] })).position
      await standing.get(rows)?.caughtUp(appended)
    })
    await Promise.all([...standing.values()].map((running) => running.caughtUp(appended)))
    await check(`standing-${rows}`, rows, appended)
    return run
  })

  let ready: Promise<void> | undefined
  let dropped: Promise<void> | undefined
  const fill = async () => {
    store = await logOfLargeCommits(storeName, count)
    for (const rows of sizes) {
      const running = startProjection(projectionOf(`standing-${rows}`, rows), store)
      await running.caughtUp(count)
      standing.set(rows, running)
    }
  }
  const drop = async () => {
    for (const running of standing.values()) await running.stop()
    await store.close()
    await destroyEventStore(storeName)
  }
  return [
    { name: 'many rows: project 200,000 events', contenders: project },
    { name: 'many rows: one event, until its row is committed', contenders: oneRow },
  ].map((each) => ({ ...each, setUp: () => (ready ??= fill()), tearDown: () => (dropped ??= drop()) }))
}
