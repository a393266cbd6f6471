/** Followers of one log, each with a stream of hints, while one device pushes to it. */
import { HttpLog, sharedAgent, type Pulled } from './http-log.js'
import { done, job, pause, percentile, ready } from './program.js'
import { commitOf } from './workload.js'

export interface FollowJob {
  /** Where the events are pushed to. */
  readonly url: string
  /** Where they are followed. */
  readonly followed: string
  readonly wake: 'events' | 'websocket'
  readonly log: string
  readonly followers: number
  readonly commits: number
  readonly size: number
  /** The least time between two pushes, ms. */
  readonly every: number
}

const { url, followed, wake, log, followers, commits, size, every } = job<FollowJob>()
const agent = sharedAgent(32)
const pusher = new HttpLog(`${url}/logs/${log}`, sharedAgent(1))
await pusher.identify()
/** When the response to the push of a commit arrived, by the position of its first event. */
const stored = new Map<number, number>()
const receipts: { readonly commit: number; readonly at: number }[] = []
let [pulls, delivered, last] = [0, 0, 0]

class Follower {
  #cursor = 0
  #chain = ''
  #head = 0
  #isPulling = false
  readonly #log = new HttpLog(`${followed}/logs/${log}`, agent)

  async follow(): Promise<() => void> {
    return this.#log.wake(wake, (head, page) => {
      if (page !== undefined && !this.#isPulling && page.after === this.#cursor && page.events.length > 0)
        this.#take(page)
      this.#head = Math.max(this.#head, head)
      if (!this.#isPulling && this.#cursor < this.#head) void this.#pull()
    })
  }

  async #pull(): Promise<void> {
    this.#isPulling = true
    while (this.#cursor < this.#head) {
      const page = await this.#log.pull(this.#cursor, this.#chain)
      pulls += 1
      this.#take(page)
    }
    this.#isPulling = false
  }

  #take({ events, scannedTo, chain }: Pulled): void {
    const at = performance.now()
    for (const { position, commit } of events) {
      if (position !== this.#cursor + 1) throw new Error(`A follower at ${this.#cursor} got ${position}`)
      this.#cursor = position
      if (position === commit) receipts.push({ commit, at })
    }
    delivered += events.length
    if (scannedTo !== this.#cursor) throw new Error(`A page ends at ${scannedTo}, its events at ${this.#cursor}`)
    this.#chain = chain
    last = at
    if (this.#cursor >= total) finish()
  }
}

const total = commits * size
let [left, finish] = [followers, () => {}]
const all = new Promise<void>((resolve) => {
  finish = () => {
    left -= 1
    if (left === 0) resolve()
  }
})
const streams: (() => void)[] = []
for (let n = 0; n < followers; n += 1) streams.push(await new Follower().follow())
await ready()
const start = performance.now()
for (let n = 0; n < commits; n += 1) {
  const due = start + n * every
  if (due > performance.now()) await pause(due - performance.now())
  const { positions } = await pusher.push([commitOf(n, size)])
  stored.set(positions[0] as number, performance.now())
}
const pushed = performance.now() - start
await all
for (const end of streams) end()
const late = receipts.map(({ commit, at }) => Math.max(0, at - (stored.get(commit) ?? NaN)))
done({ pushed, ms: last - start, delivered, pulls, p50: percentile(late, 0.5), p99: percentile(late, 0.99) })
