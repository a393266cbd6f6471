/** Logs that are filled once and read by many runs. */
import { openEventStore, type TidemarkStore } from 'tidemark'
import { fillWithSmallCommits, openLogByHand } from '../raw/log.js'
import { batchesOf, deposits, events, type DepositEvent } from './workload.js'

/** A multiple of what a record holds, by hand (256) and in tidemark (512), so that every record but the last is full. */
const commitSize = 10_240

/** A log in full records. */
export async function logOfLargeCommits(name: string, count: number): Promise<TidemarkStore<DepositEvent>> {
  const store = await openEventStore({ name, events, durability: 'relaxed' })
  for (const commit of batchesOf(deposits(count), commitSize)) {
    await store.append(commit.map(({ stream, type, data }) => ({ stream, events: [{ type, data }] })))
  }
  return store
}

/** The same by hand; in a database of its own, of that name. */
export function logByHand(name: string, count: number): Promise<IDBDatabase> {
  return openLogByHand(name, batchesOf(deposits(count), commitSize))
}

/** A log whose every record is one event. */
export async function logOfSmallCommits(name: string, count: number): Promise<TidemarkStore<DepositEvent>> {
  const store = await openEventStore({ name, events, durability: 'relaxed' })
  const versions = new Map<string, number>()
  const stored = deposits(count).map(({ stream, type, data }) => {
    const version = (versions.get(stream) ?? 0) + 1
    versions.set(stream, version)
    return { type, data, stream, version, id: events.Deposited(data).id, time: Date.now() }
  })
  await fillWithSmallCommits(name, stored)
  return store
}
