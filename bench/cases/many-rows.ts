/** A read model of many rows: its events should cost what those of a small one cost, and its runner remember no more than its cache may hold. */
import {
  defineProjection,
  deleteReadModel,
  deleteEventStore,
  openReadModel,
  startProjection,
  table,
  type ProjectionHandle,
  type TidemarkStore,
} from 'tidemark'
import { timed, timedEach, type Case, type Contender, type Sizes } from './case.js'
import { logOfLargeCommits } from './logs.js'
import { deposit, events, type DepositEvent } from './workload.js'

interface Row {
  readonly id: string
  readonly times: number
  readonly total: number
}

const count = 200_000
const storeName = 'many-rows'

interface Shape {
  readonly name: string
  readonly rows: number
  /** Of the row that an event at a position belongs to. */
  readonly keyOf: (position: number) => string
}

/** Neighbours in the log are far from each other in the table: 7,919 is prime. */
const scattered = (rows: number): Shape => ({
  name: `${rows.toLocaleString('en')} rows`,
  rows,
  keyOf: (position) => `row-${(position * 7_919) % rows}`,
})
const ascending = (rows: number): Shape => ({
  name: `${rows.toLocaleString('en')} rows, one after the other`,
  rows,
  keyOf: (position) => `row-${String(position % rows).padStart(6, '0')}`,
})

const projectionOf = (name: string, { keyOf }: Shape) =>
  defineProjection(events, {
    name,
    tables: { rows: table<Row>({ key: 'id' }) },
    fold: {
      rows: {
        key: ({ position }) => keyOf(position),
        evolve: (row, { data, position }) => ({
          id: keyOf(position),
          times: (row?.times ?? 0) + 1,
          total: (row?.total ?? 0) + data.amount,
        }),
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
  const isFull = scale.length > 0
  const sizes = [scattered(1_000), scattered(count)]
  let store: TidemarkStore<DepositEvent>
  let appended = count
  let runs = 0
  const standing = new Map<Shape, ProjectionHandle>()
  const contenders = (shapes: readonly Shape[], run: (shape: Shape) => ReturnType<Contender['run']>): Contender[] =>
    shapes.map((shape) => ({ name: `tidemark, ${shape.name}`, run: () => run(shape) }))
  /** @throws Error if the rows are not those of every event */
  const check = async (name: string, shape: Shape, total: number) => {
    const { rows } = shape
    const view = await openReadModel(store, projectionOf(name, shape))
    const all = await view.rows.getAll()
    const times = all.reduce((sum, row) => sum + row.times, 0)
    if (all.length !== rows || times !== total || (await view.rows.count()) !== rows)
      throw new Error(`${all.length} rows have ${times} events in place of ${rows} and ${total}`)
    await view.close()
  }

  const project = contenders([...sizes, ...(isFull ? [ascending(count)] : [])], async (shape) => {
    const name = `many-${(runs += 1)}`
    const projection = projectionOf(name, shape)
    const before = heapInUse()
    const upTo = appended
    let running: ProjectionHandle | undefined
    const run = await timed(upTo, async () => {
      running = startProjection(store, projection)
      await running.caughtUp(upTo)
    })
    const after = heapInUse()
    await check(name, shape, upTo)
    await running?.stop()
    await deleteReadModel(store, projection)
    return before === undefined || after === undefined ? run : { ...run, heap: after - before }
  })
  const oneRow = contenders(sizes, async (shape) => {
    const run = await timedEach(waits, async () => {
      const { stream, type, data } = deposit(appended)
      appended = (await store.append({ stream, events: [{ type, data }] })).position
      await standing.get(shape)?.caughtUp(appended)
    })
    await Promise.all([...standing.values()].map((running) => running.caughtUp(appended)))
    await check(`standing-${shape.rows}`, shape, appended)
    return run
  })

  let ready: Promise<void> | undefined
  let dropped: Promise<void> | undefined
  const fill = async () => {
    store = await logOfLargeCommits(storeName, count)
    for (const shape of isFull ? sizes : []) {
      const running = startProjection(store, projectionOf(`standing-${shape.rows}`, shape))
      await running.caughtUp(count)
      standing.set(shape, running)
    }
  }
  const drop = async () => {
    for (const running of standing.values()) await running.stop()
    await store.close()
    await deleteEventStore(storeName)
  }
  return [
    { name: `many rows: project ${count.toLocaleString('en')} events`, contenders: project },
    ...(isFull ? [{ name: 'many rows: one event, until its row is committed', contenders: oneRow }] : []),
  ].map((each) => ({ ...each, setUp: () => (ready ??= fill()), tearDown: () => (dropped ??= drop()) }))
}
