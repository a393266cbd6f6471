/** Logs that are filled once and read by many runs. */
import { openEventStore, type TidemarkStore } from 'tidemark'
import { fillWithSmallCommits } from '../raw/log.js'
import { batchesOf, deposits, events, type DepositEvent } from './workload.js'

/** A multiple of 256, so that every record but the last is full. */
const commitSize = 10_240

/** A log in records of 256 events. */
export async function logOfLargeCommits(name: string, count: number): Promise<TidemarkStore<DepositEvent>> {
  const store = await openEventStore({ name, events, durability: 'relaxed' })
  for (const commit of batchesOf(deposits(count), commitSize)) {
    await store.append(commit.map(({ stream, type, data }) => ({ stream, events: [{ type, data }] })))
  }
  return store
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
