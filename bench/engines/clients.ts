/** What is asked of a server over HTTP: pushes, pulls, a whole device. Which: see `Job`. */
import { openSyncedStore } from 'tidemark/memory'
import { startSync } from 'tidemark/sync'
import { defineEvents } from 'tidemark'
import { HttpLog, sharedAgent } from './http-log.js'
import { done, job, ready, warmedUp } from './program.js'
import { bodiesOf, itemOf, sendAll, type PushWork } from './workload.js'

export type Job =
  | (PushWork & { readonly url: string })
  | {
      readonly kind: 'device'
      readonly url: string
      readonly log: string
      readonly events: number
      readonly size: number
      readonly warmUp: number
    }
  | {
      readonly kind: 'pull'
      readonly url: string
      readonly log: string
      readonly events: number
      readonly rounds: number
    }

const asked = job<Job>()
if (asked.kind === 'device') await device(asked)
else if (asked.kind === 'pull') await pulls(asked)
else await pushes(asked)

/** Pushes all of it, some at a time. */
async function pushes(asked: Extract<Job, { perPush: number }>) {
  const { kind, url, size, perPush, atATime } = asked
  const agent = sharedAgent(atATime)
  const run = await warmedUp(asked, async (name, count) => {
    const target = new HttpLog(`${url}/${kind === 'raw' ? 'raw' : 'logs'}/${name}`, agent)
    if (kind === 'push') await target.identify()
    const bodies = bodiesOf(count, size, perPush)
    return () =>
      sendAll(bodies, atATime, (body) =>
        kind === 'raw' ? target.ask('POST', 'push', JSON.stringify(body)) : target.push(body.commits),
      )
  })
  const start = performance.now()
  const requests = await run()
  done({ ms: performance.now() - start, requests })
}

/** A device that was offline, its store in memory, until everything is sent, confirmed and pulled. */
async function device(asked: Extract<Job, { kind: 'device' }>) {
  const { url, size } = asked
  const run = await warmedUp(asked, async (name, count) => {
    const store = await openSyncedStore({
      name,
      url: `${url}/logs/${name}`,
      headers: () => ({ 'X-User': 'anna' }),
      events: defineEvents<{ type: 'ItemAdded'; data: ReturnType<typeof itemOf> }>(),
    })
    for (let commit = 0; commit * size < count; commit += 1)
      await store.append(
        `cart-${commit % 400}`,
        Array.from({ length: size }, (_, index) => ({
          type: 'ItemAdded' as const,
          data: itemOf(commit * size + index),
        })),
      )
    return async () => {
      const sync = startSync(store)
      await new Promise<void>((resolve, reject) => {
        const look = () => {
          const { cursor, pending, refused, status } = sync.status.getSnapshot()
          if (refused > 0 || status === 'stopped') reject(new Error(JSON.stringify(sync.status.getSnapshot())))
          if (cursor === count && pending === 0) resolve()
        }
        sync.status.subscribe(look)
        look()
      })
      await sync.stop()
      await store.close()
    }
  })
  const start = performance.now()
  await run()
  done({ ms: performance.now() - start })
}

/** Pulls the whole log, page by page; then, `rounds` times, an empty page. */
async function pulls({ url, log, events, rounds }: Extract<Job, { kind: 'pull' }>) {
  const target = new HttpLog(`${url}/logs/${log}`, sharedAgent(1))
  await target.identify()
  let [after, chain] = [0, '']
  const all = async () => {
    let read = 0
    for ([after, chain] = [0, '']; after < events;) {
      const page = await target.pull(after, chain)
      read += page.events.length
      ;[after, chain] = [page.scannedTo, page.chain]
    }
    if (read !== events) throw new Error(`${read} events in place of ${events}`)
  }
  await all()
  await ready()
  const start = performance.now()
  if (rounds === 0) await all()
  for (let round = 0; round < rounds; round += 1) await target.pull(after, chain)
  done({ ms: performance.now() - start })
}
