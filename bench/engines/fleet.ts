/**
 * Many devices over many logs, as light state machines over HTTP: each has a stream of hints of its own, pushes two
 * commits at a time into a stream of its own, takes the page that comes with a hint, and pulls where none comes. At the end every log is read
 * and compared with what was acknowledged.
 */
import { HttpLog, sharedAgent, type Pulled, type Told } from './http-log.js'
import { done, job, pause, percentile, ready } from './program.js'
import { itemOf } from './workload.js'
import { createId } from '../../src/events/identifier.js'
import type { WireCommit } from 'tidemark/server'

export interface FleetJob {
  /** The servers: a log is on one of them. */
  readonly urls: readonly string[]
  readonly wake: 'events' | 'websocket'
  readonly prefix: string
  readonly devices: number
  readonly logs: number
  readonly seconds: number
  /** Commits of a device and second. */
  readonly rate: number
  readonly commits: number
  readonly size: number
  readonly seed: number
}

const { urls, wake, prefix, devices, logs, seconds, rate, commits, size, seed } = job<FleetJob>()
const agent = sharedAgent(64)

/** Pseudo-random and the same for a seed (mulberry32). */
let state = seed
function random(): number {
  state = (state + 0x6d2b79f5) | 0
  let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
}

/** What is known of a log, by all of its devices. */
class Shared {
  readonly name: string
  readonly url: string
  /** By the id of its first event: where an acknowledged commit is, and its ids. */
  readonly acknowledged = new Map<string, { readonly position: number; readonly ids: readonly string[] }>()
  /** When it was, by the position of its first event. */
  readonly at = new Map<number, { readonly ms: number; readonly by: Device }>()
  head = 0

  constructor(n: number) {
    this.name = `${prefix}-${n}`
    this.url = `${urls[n % urls.length]}/logs/${this.name}`
  }
}

const pushMs: number[] = []
const pullMs: number[] = []
const receipts: { readonly log: Shared; readonly commit: number; readonly by: Device; readonly ms: number }[] = []
const errors: string[] = []
let [running, underWay, pages] = [true, 0, 0]

class Device {
  readonly #shared: Shared
  readonly #log: HttpLog
  readonly #stream: string
  #made = 0
  #last: string | null = null
  #head = 0
  #chain = ''
  cursor = 0
  #isPulling = false
  #end = () => {}

  constructor(n: number, shared: Shared) {
    this.#shared = shared
    this.#stream = `cart-${n}`
    this.#log = new HttpLog(shared.url, agent, `user-${n}`)
  }

  async start(): Promise<void> {
    await this.#log.identify()
    this.#end = await this.#log.wake(wake, (head, page) => this.#told(head, page))
  }

  end(): void {
    this.#end()
  }

  /** The next push comes after a time that is distributed as the gaps between independent acts are. */
  schedule(): void {
    const wait = (-Math.log(1 - random()) * commits * 1000) / rate
    if (wait < seconds * 1000) setTimeout(() => void this.#push(), wait)
  }

  async #push(): Promise<void> {
    if (!running) return
    underWay += 1
    const body = Array.from({ length: commits }, () => this.#commit())
    const start = performance.now()
    try {
      const { head, positions } = await this.#log.push(body)
      const ms = performance.now()
      pushMs.push(ms - start)
      body.forEach(({ events }, index) => {
        const ids = events.map(({ id }) => id)
        const position = positions[index] as number
        this.#shared.acknowledged.set(ids[0] as string, { position, ids })
        this.#shared.at.set(position, { ms, by: this })
      })
      this.#told(head)
    } catch (error) {
      errors.push(String(error))
    }
    underWay -= 1
    if (running) this.schedule()
  }

  #commit(): WireCommit {
    const last = this.#last === null ? null : ([this.#last, this.#made] as const)
    const events = Array.from({ length: size }, () => {
      this.#made += 1
      const time = Date.now()
      return { stream: this.#stream, type: 'ItemAdded', id: createId(time), time, data: itemOf(this.#made) }
    })
    const expect = { [this.#stream]: last }
    this.#last = events.at(-1)?.id ?? null
    return { events, expect }
  }

  #told(head: number, page?: Told): void {
    if (page !== undefined && !this.#isPulling && page.after === this.cursor && page.events.length > 0) {
      pages += 1
      this.#take(page)
    }
    this.#head = Math.max(this.#head, head)
    this.#shared.head = Math.max(this.#shared.head, head)
    if (!this.#isPulling && this.cursor < this.#head) void this.#pull()
  }

  async #pull(): Promise<void> {
    this.#isPulling = true
    underWay += 1
    try {
      while (this.cursor < this.#head) {
        const start = performance.now()
        const page = await this.#log.pull(this.cursor, this.#chain)
        pullMs.push(performance.now() - start)
        this.#take(page)
      }
    } catch (error) {
      errors.push(String(error))
    }
    underWay -= 1
    this.#isPulling = false
  }

  #take({ events, scannedTo, chain }: Pulled): void {
    const ms = performance.now()
    for (const { position, commit } of events) {
      if (position !== this.cursor + 1) throw new Error(`A device at ${this.cursor} got ${position}`)
      this.cursor = position
      if (position === commit) receipts.push({ log: this.#shared, commit, by: this, ms })
    }
    if (scannedTo !== this.cursor) throw new Error(`A page ends at ${scannedTo}, its events at ${this.cursor}`)
    this.#chain = chain
  }

  get isDone(): boolean {
    return this.cursor === this.#shared.head
  }
}

/** Every acknowledged commit once, at its position, and nothing else. Returns what is wrong. */
async function wrongIn(shared: Shared): Promise<string[]> {
  const log = new HttpLog(shared.url, agent)
  const wrong: string[] = []
  const commitsRead = new Map<number, string[]>()
  let [after, chain] = [0, '']
  for (;;) {
    const page = await log.pull(after, chain)
    if (page.events.length === 0) break
    for (const { position, commit, id } of page.events) {
      after += 1
      if (position !== after) wrong.push(`${shared.name}: ${position} in place of ${after}`)
      const ids = commitsRead.get(commit) ?? []
      ids.push(id)
      commitsRead.set(commit, ids)
    }
    chain = page.chain
  }
  for (const { position, ids } of shared.acknowledged.values()) {
    if (commitsRead.get(position)?.join() !== ids.join()) wrong.push(`${shared.name}: another commit at ${position}`)
    commitsRead.delete(position)
  }
  if (commitsRead.size > 0) wrong.push(`${shared.name}: ${commitsRead.size} commits that were not acknowledged`)
  return wrong
}

/** Some at a time. */
async function forEach<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const rest = items.values()
  await Promise.all(
    Array.from({ length: 64 }, async () => {
      for (const item of rest) await work(item)
    }),
  )
}

const allLogs = Array.from({ length: logs }, (_, n) => new Shared(n))
const allDevices = Array.from({ length: devices }, (_, n) => new Device(n, allLogs[n % logs] as Shared))
const connecting = performance.now()
await forEach(allDevices, (device) => device.start())
const connected = performance.now() - connecting
await ready()
const cpu = process.cpuUsage()
const start = performance.now()
for (const device of allDevices) device.schedule()
await pause(seconds * 1000)
running = false
const ms = performance.now() - start
const { user, system } = process.cpuUsage(cpu)
const inTime = { pushes: pushMs.length, pulls: pullMs.length, pages }
// What is on its way may arrive.
for (let waited = 0; underWay > 0 || !allDevices.every((device) => device.isDone); waited += 20) {
  if (waited > 240_000) errors.push(`${allDevices.filter((device) => !device.isDone).length} devices lack something`)
  if (errors.length > 0) break
  await pause(20)
}
const wrong: string[] = []
await forEach(allLogs, async (log) => void wrong.push(...(await wrongIn(log))))
for (const device of allDevices) device.end()

const late = receipts.flatMap(({ log, commit, by, ms: at }) => {
  const known = log.at.get(commit)
  return known === undefined || known.by === by ? [] : [Math.max(0, at - known.ms)]
})
const acknowledged = allLogs.reduce((sum, log) => sum + log.acknowledged.size, 0)
const spread = (values: readonly number[]) => ({ p50: percentile(values, 0.5), p99: percentile(values, 0.99) })
done({
  connected,
  ms,
  ...inTime,
  commits: acknowledged,
  events: acknowledged * size,
  received: receipts.length,
  push: spread(pushMs),
  pull: spread(pullMs),
  late: spread(late),
  clientCpu: (user + system) / 1000,
  errors: errors.length,
  firstErrors: errors.slice(0, 5),
  wrong: wrong.length,
  firstWrong: wrong.slice(0, 5),
})
