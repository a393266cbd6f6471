/** Devices that share the log of a server on this machine. */
import { syncPeers } from 'bench:peers'
import { deleteEventStore, exportEvents, importEvents, openEventStore } from 'tidemark'
import { adoptStore, openSyncedStore, startSync } from 'tidemark/sync'
import { deleteDatabase } from '../raw/database.js'
import { outboxByHand, pullByHand } from '../raw/sync.js'
import { timed, type Case, type Contender, type Run, type Sizes } from './case.js'
import { agree, now, openDevice, pull, until, type DeviceKind, type Remote } from './device.js'
import type { Fetched, SyncPeer } from './sync-peer.js'
import { watched } from './watched.js'
import { assertCustomers, batchesOf, deposit, deposits, events, type Customer } from './workload.js'

/** Calls a function of `remote` in another browser, which has a profile of its own; `reload` loads its page again. */
export type OtherDevice = <N extends keyof Remote>(
  call: N | 'reload',
  ...args: Parameters<Remote[N]>
) => Promise<Awaited<ReturnType<Remote[N]>>>

const customer = 'customer-0'
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
let runs = 0

export function syncCases(
  other: OtherDevice,
  { pulled, pulledAtOnce, pulledByPeers, remoteWaits, drained, adopted }: Sizes,
): Case[] {
  return [
    rowThereCase(other, remoteWaits),
    pullCase(pulled),
    ...(syncPeers.length === 0 ? [] : [pullCase(pulledByPeers, syncPeers)]),
    ...(pulledAtOnce === 0 ? [] : [resumedCase(other, pulledAtOnce)]),
    pushCase(drained),
    ...(adopted === 0 ? [] : [adoptCase(adopted)]),
  ]
}

/** From the append in this browser until a live query in the other one has the row. */
function rowThereCase(other: OtherDevice, waits: number): Case {
  const contender = (name: string, kind: DeviceKind, isHere = false): Contender => ({
    name,
    async run() {
      const log = `two-devices-${kind}-${(runs += 1)}`
      const shownHere: number[] = []
      const shown = ({ deposits: n }: Customer) => void (shownHere[n] ??= now())
      const device = await openDevice(kind, log, log, customer, shown)
      await agree()
      await other('open', kind, log, log, customer)
      const taken: number[] = []
      for (let n = 1; n <= waits + warmUp; n += 1) {
        const { stream, type, data } = deposit(n)
        const start = now()
        await device.append({ stream, type, data: { ...data, customer } })
        // Nothing is asked while it is under way, and both devices come to rest, as between two acts of a user.
        let seen: number | undefined
        do {
          await pause(rest)
          seen = isHere ? shownHere[n] : await other('seen', n)
        } while (seen === undefined)
        if (n > warmUp) taken.push(seen - start)
      }
      await other('close')
      await device.close()
      return ofWaits(taken)
    },
  })
  return {
    name: 'sync: append here, row on another device',
    contenders: [
      contender('tidemark', 'tidemark'),
      contender('tidemark, row on this device', 'tidemark', true),
      contender('raw, fetch, server-sent events and put', 'raw'),
      ...syncPeers.map(({ name, room }) => contender(name, room)),
    ],
  }
}

const warmUp = 3
/** More than the 100 ms in which a device waits a little, since many hints come. */
const rest = 250

const ofWaits = (waits: readonly number[]): Run => ({
  ms: [...waits].sort((a, b) => a - b)[Math.floor(waits.length / 2)] as number,
  events: 1,
  waits,
})

const filled = async (log: string, count: number) => {
  const response = await fetch(`${log}/fill?count=${count}`)
  if (!response.ok) throw new Error('The server could not fill the log')
}

/** A device that is new fetches the whole log. With other libraries: fewer events, the same number for all. */
function pullCase(count: number, peers: readonly SyncPeer[] = []): Case {
  const log = `pulled-${count}`
  const byTidemark = (name: string, folds: boolean): Contender => ({
    name,
    run: () => pull(log, `pull-${(runs += 1)}`, count, count, folds),
  })
  return {
    name: `sync: a new device fetches ${count.toLocaleString('en')} events`,
    async setUp() {
      await filled(`/logs/${log}`, count)
      for (const { room } of peers) await filled(`/peers/${room}/${log}`, count)
    },
    contenders: [
      byTidemark('tidemark, and folds them', true),
      byTidemark('tidemark, only fetches', false),
      rawPull('raw, fetch, JSON.parse, put and fold', count),
      ...peers.map((peer) => pullByPeer(peer, log, count)),
    ],
  }
}

function pullByPeer(peer: SyncPeer, log: string, count: number): Contender {
  return {
    name: `${peer.name}, and folds them`,
    async run() {
      let fetched: Fetched | undefined
      const run = await watched(() =>
        timed(count, async () => {
          fetched = await peer.fetch(`${location.origin}/peers/${peer.room}/${log}`, `${peer.room}-pull-${(runs += 1)}`)
        }),
      )
      assertCustomers(fetched?.rows ?? [], count, peer.name)
      await fetched?.destroy()
      return run
    },
  }
}

function rawPull(name: string, count: number): Contender {
  return {
    name,
    async run() {
      const database = `raw-pull-${(runs += 1)}`
      // The server makes the lines once.
      await (await fetch(`/raw/lines/${count}`)).body?.cancel()
      let rows: Customer[] = []
      const run = await watched(() =>
        timed(count, async () => {
          rows = await pullByHand(database, `/raw/lines/${count}`)
        }),
      )
      assertCustomers(rows, count, name)
      await deleteDatabase(database)
      return run
    },
  }
}

/** The same in another browser, whose page is loaded again in the middle; loading it is outside the clock. */
function resumedCase(other: OtherDevice, count: number): Case {
  const log = `pulled-${count}`
  return {
    name: `sync: a new device fetches ${count.toLocaleString('en')} events`,
    once: true,
    setUp: () => filled(`/logs/${log}`, count),
    contenders: [
      {
        name: 'tidemark, and folds them; reloaded in the middle',
        async run() {
          const name = `resumed-${(runs += 1)}`
          const first = await other('pull', log, name, count, Math.floor(count / 2))
          await other('reload')
          const second = await other('pull', log, name, count)
          const longTasks = [first, second].flatMap(({ mainThread }) => mainThread?.longTasks ?? [])
          return { ms: first.ms + second.ms, events: count, mainThread: { longTasks, inputDelays: [] } }
        },
      },
      {
        name: 'tidemark, and folds them',
        run: () => other('pull', log, `pull-${(runs += 1)}`, count),
      },
      rawPull('raw, fetch, JSON.parse, put and fold', count),
    ],
  }
}

/** A device that was offline sends what it did. */
function pushCase(count: number): Case {
  const perCommit = 5
  const commits = [...batchesOf(deposits(count), perCommit)]
  return {
    name: `sync: a device sends ${count.toLocaleString('en')} events, ${perCommit} per commit`,
    contenders: [
      {
        name: 'tidemark, until all are confirmed',
        async run() {
          const name = `push-${(runs += 1)}`
          const url = `${location.origin}/logs/${name}`
          const store = await openSyncedStore({ name, url, events, durability: 'relaxed' })
          for (const commit of commits) await store.append(writesOf(commit))
          let stop = async () => {}
          const run = await timed(count, async () => {
            const sync = startSync(store)
            stop = () => sync.stop()
            await until(sync, ({ pending, cursor }) => pending === 0 && cursor === count)
          })
          const head = await store.head()
          if (head !== count) throw new Error(`The log has ${head} events in place of ${count}`)
          await stop()
          await store.close()
          await deleteEventStore(name)
          return run
        },
      },
      {
        name: 'raw, fetch, 1,000 commits a request',
        async run() {
          const name = `raw-push-${(runs += 1)}`
          const outbox = await outboxByHand(name, `/raw/${name}`, commits)
          const run = await timed(count, () => outbox.push(1000))
          await outbox.close()
          return run
        },
      },
      ...syncPeers.map((peer) => pushByPeer(peer, count)),
    ],
  }
}

/** The same events, each a document of its own: there are no commits. */
function pushByPeer({ name, room, offline }: SyncPeer, count: number): Contender {
  return {
    name,
    async run() {
      const log = `push-${(runs += 1)}`
      const server = `${location.origin}/peers/${room}/${log}`
      const device = await offline(server, `${room}-${log}`, deposits(count))
      const run = await timed(count, () => device.send())
      const there = (await (await fetch(`${server}/count`)).json()) as { count: number }
      if (there.count !== count) throw new Error(`The server has ${there.count} events in place of ${count}`)
      await device.destroy()
      return run
    },
  }
}

/** A local store of commits of one event each becomes a synced one. */
function adoptCase(count: number): Case {
  const lines: string[] = []
  const contender = (name: string, url: (log: string) => string, confirmed: number): Contender => ({
    name,
    async run() {
      const log = `adopted-${(runs += 1)}`
      const local = await openEventStore({ name: `${log}-local`, events, durability: 'relaxed' })
      await importEvents(local, lines)
      const synced = await openSyncedStore({ name: log, url: url(log), events, durability: 'relaxed' })
      const sync = startSync(synced)
      const run = await watched(() =>
        timed(count, async () => {
          const result = await adoptStore(local, synced)
          if (result.confirmed !== confirmed || result.pending !== count - confirmed)
            throw new Error(`Adopted ${JSON.stringify(result)}`)
        }),
      )
      await sync.stop()
      await local.close()
      await synced.close()
      await deleteEventStore(local.name)
      await deleteEventStore(log)
      return run
    },
  })
  return {
    name: `sync: a local store of ${count.toLocaleString('en')} commits is adopted`,
    async setUp() {
      const store = await openEventStore({ name: 'adopted-local', events, durability: 'relaxed' })
      for (const { stream, type, data } of deposits(count)) await store.append(stream, { type, data })
      for await (const line of exportEvents(store)) lines.push(line)
      await store.close()
      await deleteEventStore(store.name)
    },
    contenders: [
      contender('tidemark, the log of the server is empty', (log) => `${location.origin}/logs/${log}`, count),
      contender('tidemark, no server: through the outbox', () => `${location.origin}/nowhere`, 0),
    ],
  }
}

export const writesOf = (commit: readonly ReturnType<typeof deposit>[]) =>
  commit.map(({ stream, type, data }) => ({ stream, events: [{ type, data }] }))
