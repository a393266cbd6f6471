/** A device that syncs, as an app has it: its store, its projection and a view. Runs in this browser or in another one. */
import { syncPeers } from 'bench:peers'
import { deleteEventStore, openReadModel, startProjection } from 'tidemark'
import { openSyncedStore, startSync, type SyncHandle, type SyncStatus } from 'tidemark/sync'
import { deviceByHand } from '../raw/sync.js'
import { timed, type Run } from './case.js'
import { forms } from './projections.js'
import { watched } from './watched.js'
import { assertCustomers, events, type Customer, type NewDeposit } from './workload.js'

/** The time in ms, the same for all pages of this machine; after `agree`, that of the server. */
export const now = (): number => performance.timeOrigin + performance.now() + offset
let offset = 0

/** Compares the clock with that of the server, by the fastest of several requests. */
export async function agree(): Promise<void> {
  let fastest = Infinity
  for (let n = 0; n < 30; n += 1) {
    const start = performance.timeOrigin + performance.now()
    const there = Number(await (await fetch('/clock', { cache: 'no-store' })).text())
    const took = performance.timeOrigin + performance.now() - start
    if (took >= fastest) continue
    fastest = took
    offset = there - start - took / 2
  }
}

/** Or the `room` of another library. */
export type DeviceKind = 'tidemark' | 'raw' | (string & {})

export interface Device {
  append(event: NewDeposit): Promise<unknown>
  close(): Promise<void>
}

/** Opens a device; `shown` is called with the row of a customer whenever it is another one, when it could be on screen. */
export async function openDevice(
  kind: DeviceKind,
  log: string,
  name: string,
  customer: string,
  shown: (row: Customer) => void,
): Promise<Device> {
  if (kind === 'raw') return deviceByHand(name, `${location.origin}/raw/${log}`, shown)
  const peer = syncPeers.find(({ room }) => room === kind)
  if (peer !== undefined) return peer.openDevice(`${location.origin}/peers/${kind}/${log}`, name, customer, shown)
  const projection = forms.fold('customers')
  const store = await openSyncedStore({ name, url: `${location.origin}/logs/${log}`, events, durability: 'relaxed' })
  const running = startProjection(store, projection)
  const sync = startSync(store)
  const view = await openReadModel(store, projection)
  const live = view.live(({ customers }) => customers.get(customer))
  const unsubscribe = live.subscribe(() => {
    const snapshot = live.getSnapshot()
    if (snapshot.status === 'ready' && snapshot.data !== undefined) shown(snapshot.data)
  })
  await until(sync, ({ status }) => status === 'idle')
  return {
    append: ({ stream, type, data }) => store.append(stream, { type, data }),
    async close() {
      unsubscribe()
      await view.close()
      await sync.stop()
      await running.stop()
      await store.close()
      await deleteEventStore(name)
    },
  }
}

/** @throws Error if syncing stops, or something is refused */
export function until({ status }: SyncHandle, isReached: (now: SyncStatus) => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const look = () => {
      const at = status.getSnapshot()
      const isOver = at.status === 'stopped' || at.status === 'paused' || at.refused > 0
      if (!isOver && !isReached(at)) return
      stop()
      if (isOver) reject(new Error(JSON.stringify(at)))
      else resolve()
    }
    const stop = status.subscribe(look)
    look()
  })
}

/**
 * Fetches a log and folds it, under the clock, until `upTo` of its `count` events are there. The whole log is checked; if
 * it is not whole, everything is left under way, as by a page that is reloaded.
 */
export async function pull(log: string, name: string, count: number, upTo = count, folds = true): Promise<Run> {
  const projection = forms.fold('customers')
  let finish = async () => {}
  const run = await watched(() =>
    timed(upTo, async () => {
      const url = `${location.origin}/logs/${log}`
      const store = await openSyncedStore({ name, url, events, durability: 'relaxed' })
      const sync = startSync(store)
      const running = folds ? startProjection(store, projection) : undefined
      await until(sync, ({ cursor }) => cursor >= upTo)
      if (upTo < count) return
      await running?.caughtUp(count)
      finish = async () => {
        const head = await store.head()
        if (head !== count) throw new Error(`The device has ${head} events in place of ${count}`)
        if (folds) {
          const view = await openReadModel(store, projection)
          assertCustomers(await view.customers.getAll(), count, 'The device')
          await view.close()
        }
        await sync.stop()
        await running?.stop()
        await store.close()
        await deleteEventStore(name)
      }
    }),
  )
  await finish()
  return run
}

let device: Device | undefined
/** When each number of deposits was shown here. */
let times: number[] = []

/** What a page in another browser does, when the driver passes it on. */
export const remote = {
  async open(kind: DeviceKind, log: string, name: string, customer: string): Promise<void> {
    times = []
    await agree()
    device = await openDevice(kind, log, name, customer, ({ deposits }) => void (times[deposits] ??= now()))
  },
  /** When it was shown; `undefined`: not yet. */
  seen: async (deposits: number): Promise<number | undefined> => times[deposits],
  async close(): Promise<void> {
    await device?.close()
  },
  pull,
}

export type Remote = typeof remote
