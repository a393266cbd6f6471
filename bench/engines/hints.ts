/** Devices that only get hints: one pushes, and the next push comes when all have the hint of the one before. */
import { HttpLog, sharedAgent } from './http-log.js'
import { done, job, ready } from './program.js'
import { commitOf } from './workload.js'

export interface HintsJob {
  readonly url: string
  readonly wake: 'events' | 'websocket'
  readonly log: string
  readonly devices: number
  readonly rounds: number
}

const { url, wake, log, devices, rounds } = job<HintsJob>()
const agent = sharedAgent(32)
const pusher = new HttpLog(`${url}/logs/${log}`, agent)
await pusher.identify()
let [wanted, left, all] = [0, 0, () => {}]
const ends: (() => void)[] = []
for (let n = 0; n < devices; n += 1) {
  let head = 0
  const hear = (told: number) => {
    if (told >= wanted && head < wanted) {
      left -= 1
      if (left === 0) all()
    }
    head = Math.max(head, told)
  }
  ends.push(await new HttpLog(`${url}/logs/${log}`, agent).wake(wake, hear))
}
await ready()
const start = performance.now()
for (let round = 0; round < rounds; round += 1) {
  ;[wanted, left] = [wanted + 1, devices]
  const heard = new Promise<void>((resolve) => (all = resolve))
  await pusher.push([commitOf(round, 1)])
  if (devices > 0) await heard
}
const ms = performance.now() - start
for (const end of ends) end()
done({ ms })
