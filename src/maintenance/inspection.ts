/** The log of a store, for looking at. */
import { indexedDbInspection } from './indexeddb/indexeddb-inspection.js'
import type { LogInspection } from './log-inspection.js'
import type { MemoryLog } from '../log/memory/memory-log.js'
import type { StoreInternals } from '../log/open.js'
import { anyHolds, endOf } from '../log/record/record.js'

/** The log of a store, for looking at. */
export function inspectionOf(name: string, parts: StoreInternals): LogInspection {
  if (parts.medium === 'server') return parts.inspection as LogInspection
  return parts.medium === 'memory'
    ? memoryInspection(parts.log, parts.checkpoints)
    : indexedDbInspection(parts.connection, name, parts.databaseId)
}

/**
 * A log in memory: its records, of one commit each, and the checkpoints beside it. Ids are kept apart by its own map.
 */
function memoryInspection(log: Pick<MemoryLog, 'records'>, checkpoints: ReadonlyMap<string, number>): LogInspection {
  return {
    async page(after, limit) {
      // The record that holds the key comes again, and does not count.
      const again = after === undefined ? 0 : 1
      const page = (await log.records(again === 0 ? 1 : (after as number), limit + again)).slice(again)
      if (page.length === limit) return { records: page }
      return {
        records: page,
        beside: { checkpoints: [...checkpoints].map(([name, position]) => ({ name, position })) },
      }
    },
    async *sharedIdKeys() {},
    records: async () => [],
    recordsFrom: (position, limit) => log.records(position, limit),
    async holds(id, stream) {
      for (let from = 1; ;) {
        const records = await log.records(from, mostRecords)
        if (records.length === 0) return false
        if (anyHolds(records, id, stream)) return true
        from = endOf(records.at(-1)) + 1
      }
    },
  }
}

/** A page holds so many records at most … */
const mostRecords = 128
/** … and grows no further above so many characters. */
const mostCharacters = 512 * 1024

/** How many records to read next, after a page of some. */
export function nextPageSize(size: number, records: readonly unknown[]): number {
  const characters = records.reduce<number>(
    (sum, record) => sum + String((record as { events?: unknown } | null)?.events).length,
    0,
  )
  return characters < mostCharacters ? Math.min(size * 2, mostRecords) : Math.max(1, Math.floor(size / 2))
}
