/**
 * Many devices that were offline, in one process of Node, with stores in memory: each one sends what it did and fetches
 * what the others did. Prints what it took as JSON.
 *
 * Arguments: the address of the log, how many devices, how many commits of each, `tidemark` or `raw`.
 */
import { openSyncedStore } from 'tidemark/memory'
import { startSync, type SyncHandle } from 'tidemark/sync'
import { deposit, events } from '../cases/workload.js'

const [url = '', devices = '', commits = '', kind = ''] = process.argv.slice(2)
const all = Number(devices) * Number(commits)
const numbers = Array.from({ length: Number(devices) }, (_, device) => device)
const ofDevice = (device: number) =>
  Array.from({ length: Number(commits) }, (_, index) => deposit(device * Number(commits) + index))

/** Resolves when this device has sent everything and has every event. */
function drained({ status }: SyncHandle): Promise<void> {
  return new Promise((resolve, reject) => {
    const look = () => {
      const now = status.getSnapshot()
      if (now.status === 'stopped' || now.refused > 0) reject(new Error(JSON.stringify(now)))
      if (now.cursor !== all || now.pending !== 0) return
      stop()
      resolve()
    }
    const stop = status.subscribe(look)
    look()
  })
}

async function withTidemark(): Promise<number> {
  const stores = await Promise.all(
    numbers.map(async (device) => {
      const store = await openSyncedStore({ name: `device-${device}`, url, events })
      for (const { stream, type, data } of ofDevice(device)) await store.append(stream, { type, data })
      return store
    }),
  )
  const start = performance.now()
  const syncs = stores.map((store) => startSync(store))
  await Promise.all(syncs.map(drained))
  const ms = performance.now() - start
  const logs: string[] = []
  for (const store of stores) {
    const log: unknown[] = []
    for await (const { position, id, stream, version, data } of store.read())
      log.push([position, id, stream, version, data])
    if (log.length !== all) throw new Error(`A device has ${log.length} events in place of ${all}`)
    logs.push(JSON.stringify(log))
  }
  if (new Set(logs).size !== 1) throw new Error('The logs are not the same')
  await Promise.all(syncs.map((sync) => sync.stop()))
  return ms
}

/** The same work without a library: one request with everything, and one for the lines. Nothing is checked or stored. */
async function byHand(): Promise<number> {
  const outboxes = numbers.map((device) =>
    ofDevice(device).map((event) => [{ ...event, id: crypto.randomUUID(), time: Date.now() }]),
  )
  const start = performance.now()
  await Promise.all(
    outboxes.map(async (outbox) => {
      await (await fetch(`${url}/push`, { method: 'POST', body: JSON.stringify(outbox) })).json()
      const lines = await (await fetch(`${url}/${all}`)).text()
      const log = lines
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown)
      if (log.length !== all) throw new Error(`There are ${log.length} lines in place of ${all}`)
    }),
  )
  return performance.now() - start
}

const ms = await (kind === 'raw' ? byHand() : withTidemark())
console.log(JSON.stringify({ ms, events: all }))
process.exit()
