/** The bench page: the driver in Node calls `window.bench`, one run at a time. */
import { peers } from 'bench:peers'
import { appendCases } from '../cases/append.js'
import type { Case, Run, Sizes } from '../cases/case.js'
import { projectionCase } from '../cases/catch-up-projection.js'
import { readCases } from '../cases/catch-up-read.js'
import { coldOpen, fill } from '../cases/cold-open.js'
import { compactionCases } from '../cases/compaction.js'
import { liveCases } from '../cases/live.js'
import { remote, type Remote } from '../cases/device.js'
import { manyRowsCases } from '../cases/many-rows.js'
import { pendingCase } from '../cases/pending.js'
import { scaleCases } from '../cases/scale.js'
import { smoothCase } from '../cases/smooth.js'
import { streamCase } from '../cases/stream-read.js'
import { syncCases, type OtherDevice } from '../cases/sync.js'
import { appendAndModelCase, oneEventCase } from '../cases/systems.js'
import { tidemark } from '../cases/tidemark.js'
import { leader, wakeUpCase } from '../cases/wake-up.js'
import { openDatabase } from '../raw/database.js'
import { byHand } from '../raw/system.js'
import { counted, type RequestCount } from './requests.js'

export interface BenchPage {
  /** Makes the cases, and returns their names with those of their contenders. */
  plan(sizes: Sizes): { name: string; throttle: number; once: boolean; contenders: string[] }[]
  setUp(name: string): Promise<void>
  run(name: string, contender: string): Promise<Run>
  /** What one more run asks of IndexedDB for an event, or for a wait. */
  count(name: string, contender: string): Promise<RequestCount>
  tearDown(name: string): Promise<void>
  /** What is asked of the other tab. */
  lead(task: 'start' | 'stop'): Promise<void>
  /** What is asked of a page in another browser. */
  remote: Remote
  /** Leaves a database on the disk. */
  leaveDatabase(): Promise<void>
  /** Every log with its read model, by name. */
  systems(): string[]
  fill(system: string, database: string, count: number): Promise<void>
  coldOpen(system: string, database: string, count: number): Promise<Run>
}

declare global {
  interface Window {
    bench: BenchPage
    /** There because the driver starts the browser with `--expose-gc`. */
    gc?: () => void
    /** Of the driver: calls `lead` in another tab of this browser. */
    inOtherTab(task: 'start' | 'stop'): Promise<void>
    /** Of the driver: calls a function of `remote` in a browser with another profile. */
    onOtherDevice: OtherDevice
  }
}

const systems = [tidemark, byHand, ...peers]
let cases: readonly Case[] = []

function find<T extends { readonly name: string }>(all: readonly T[], name: string): T {
  const found = all.find((candidate) => candidate.name === name)
  if (found === undefined) throw new Error(`There is no '${name}' among: ${all.map((each) => each.name).join(', ')}`)
  return found
}

window.bench = {
  plan(sizes) {
    cases = [
      ...appendCases(sizes),
      ...readCases(sizes),
      streamCase(sizes),
      ...(sizes.compaction ? compactionCases() : []),
      projectionCase(sizes),
      appendAndModelCase(systems, sizes),
      oneEventCase(systems, sizes),
      wakeUpCase(window.inOtherTab, sizes),
      ...liveCases(sizes),
      ...scaleCases(sizes),
      ...manyRowsCases(sizes),
      ...(sizes.throttle > 1 ? [smoothCase(sizes)] : []),
      ...syncCases(window.onOtherDevice, sizes),
      pendingCase(sizes),
    ]
    return cases.map(({ name, contenders, throttle = 1, once = false }) => ({
      name,
      throttle,
      once,
      contenders: contenders.map((contender) => contender.name),
    }))
  },
  async setUp(name) {
    await find(cases, name).setUp?.()
  },
  async run(name, contender) {
    const found = find(find(cases, name).contenders, contender)
    // No contender pays for the garbage of the contender before.
    window.gc?.()
    return found.run()
  },
  async count(name, contender) {
    let run: Run = { ms: 0, events: 1 }
    const { transactions, requests } = await counted(async () => {
      run = await find(find(cases, name).contenders, contender).run()
    })
    const each = run.waits?.length ?? run.events
    return { transactions: transactions / each, requests: requests / each }
  },
  async tearDown(name) {
    await find(cases, name).tearDown?.()
  },
  lead: (task) => leader[task](),
  remote,
  async leaveDatabase() {
    const database = await openDatabase('bench', (created) => void created.createObjectStore('left'))
    database.close()
  },
  systems: () => systems.map(({ name }) => name),
  fill: (system, database, count) => fill(find(systems, system), database, count),
  coldOpen: (system, database, count) => coldOpen(find(systems, system), database, count),
}
