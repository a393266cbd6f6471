/** Appending: one event per commit, 100 over 100 streams, and thousands in one commit. */
import { openEventStore, deleteEventStore, type EventStore } from 'tidemark'
import { deleteDatabase, openDatabase } from '../raw/database.js'
import { recordPerCommit, recordPerEvent, writerOf, type Layout } from '../raw/layouts.js'
import { timed, type Case, type Contender, type Sizes } from './case.js'
import { batchesOf, deposits, events, streamCount, Tally, type DepositEvent, type NewDeposit } from './workload.js'

/** Every stream has one event before the clock starts, so that each contender is measured warm: it knows head and versions. */
const warmUp = deposits(streamCount)

export function appendCases({ single, batches, bulk }: Sizes): Case[] {
  return [
    appendCase('append one', [...batchesOf(deposits(single, streamCount), 1)], appendExpecting),
    appendCase('append 100 per commit', [...batchesOf(deposits(batches * 100, streamCount), 100)], appendAny),
    appendCase(`append ${bulk} in one commit`, [deposits(bulk, streamCount)], appendAny),
  ]
}

type Append = (
  store: EventStore<DepositEvent>,
  commit: readonly NewDeposit[],
  version: (stream: string) => number,
) => Promise<unknown>

const appendExpecting: Append = (store, commit, version) =>
  store.append(
    commit.map(({ stream, type, data }) => ({ stream, expectedVersion: version(stream), events: [{ type, data }] })),
  )

const appendAny: Append = (store, commit) =>
  store.append(commit.map(({ stream, type, data }) => ({ stream, events: [{ type, data }] })))

function appendCase(name: string, commits: readonly (readonly NewDeposit[])[], append: Append): Case {
  const count = commits.reduce((sum, commit) => sum + commit.length, 0)
  return {
    name,
    contenders: [
      tidemark('tidemark', commits, count, append),
      tidemark('tidemark, just opened', commits, count, append, { reopen: true }),
      byHand('raw, a record per commit (L6-string+commits)', recordPerCommit, commits, count),
      byHand('raw, a record per event (L1)', recordPerEvent, commits, count),
    ],
  }
}

let runs = 0

/** With `reopen`, the store that is measured has to find out the head and every version, as after a page load. */
function tidemark(
  contender: string,
  commits: readonly (readonly NewDeposit[])[],
  count: number,
  append: Append,
  { reopen = false } = {},
): Contender {
  return {
    name: contender,
    async run() {
      const name = `append-${(runs += 1)}`
      const open = () => openEventStore({ name, events, durability: 'relaxed' })
      let store = await open()
      const versions = new Map<string, number>()
      const version = (stream: string) => versions.get(stream) ?? 0
      const appended = (commit: readonly NewDeposit[]) => {
        for (const { stream } of commit) versions.set(stream, version(stream) + 1)
      }
      await append(store, warmUp, version)
      appended(warmUp)
      if (reopen) {
        await store.close()
        store = await open()
      }
      const run = await timed(count, async () => {
        for (const commit of commits) {
          await append(store, commit, version)
          appended(commit)
        }
      })
      const tally = new Tally()
      for await (const { position, data } of store.read()) tally.add(position, data)
      tally.assertFirst(warmUp.length + count, contender)
      await store.close()
      await deleteEventStore(name)
      return run
    },
  }
}

function byHand(
  contender: string,
  layout: Layout,
  commits: readonly (readonly NewDeposit[])[],
  count: number,
): Contender {
  return {
    name: contender,
    async run() {
      const name = `raw-append-${(runs += 1)}`
      const database = await openDatabase(name, layout.create)
      const write = writerOf(layout, database)
      await write(warmUp)
      const run = await timed(count, async () => {
        for (const commit of commits) await write(commit)
      })
      ;(await layout.tally(database)).assertFirst(warmUp.length + count, contender)
      database.close()
      await deleteDatabase(name)
      return run
    },
  }
}
