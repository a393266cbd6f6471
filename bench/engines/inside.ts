/** An engine without HTTP, in one process with what pushes to it. */
import { join } from 'node:path'
import { serverLog } from 'tidemark/server'
import { Backend, type Place } from './backend.js'
import { fileByHand, postgresByHand } from './by-hand.js'
import { done, job, warmedUp } from './program.js'
import { assertAccepted, bodiesOf, sendAll, type PushWork } from './workload.js'

export interface InsideJob extends PushWork {
  readonly place: Place
}

const asked = job<InsideJob>()
const { place, kind, size, perPush, atATime } = asked
const backend = new Backend(place)

async function push(name: string, count: number): Promise<() => Promise<number>> {
  const bodies = bodiesOf(count, size, perPush)
  const raw =
    kind === 'push'
      ? undefined
      : place.engine === 'postgres'
        ? await postgresByHand(backend.pool, place.schema, name)
        : await fileByHand(join(place.folder, `${name}.lines`))
  const server = raw ?? serverLog(await backend.store(name))
  if ('info' in server) await server.info()
  return async () => {
    const requests = await sendAll(bodies, atATime, async (body) => {
      if ('info' in server) assertAccepted(await server.push(body, { author: 'anna' }), body.commits.length)
      else await server.push(body.commits)
    })
    await raw?.close()
    return requests
  }
}

const run = await warmedUp(asked, push)
const [cpu, before] = [process.cpuUsage(), { ...backend.counts }]
const start = performance.now()
const requests = await run()
const ms = performance.now() - start
const { user, system } = process.cpuUsage(cpu)
const { roundTrips, transactions } = backend.counts
await backend.close()
done({
  ms,
  requests,
  cpu: (user + system) / 1000,
  roundTrips: roundTrips - before.roundTrips,
  transactions: transactions - before.transactions,
})
