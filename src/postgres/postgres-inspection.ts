/** A log in PostgreSQL, for looking at: its commits as the records that IndexedDB would keep. */
import { idKey, anyHolds, endOf, type CommitRecord } from '../log/record/record.js'
import type { StoredEvent } from '../log/record/record-text.js'
import type { LogInspection } from '../maintenance/log-inspection.js'
import { storedEvent, type DatedCommit, type StoredCommits } from './stored-commits.js'

/** How many commits are read together. */
const atOnce = 128

export function postgresInspection(
  commits: StoredCommits,
  checkpoints: () => Promise<readonly { readonly name: string; readonly position: number }[]>,
): LogInspection {
  const recordsFrom = async (position: number, limit: number) => (await commits.commits(position, limit)).map(recordOf)
  return {
    async page(after, limit) {
      const records =
        after === undefined
          ? await recordsFrom(1, limit)
          : // The record that holds the key comes again, and does not count.
            (await recordsFrom(after as number, limit + 1)).slice(1)
      return records.length === limit ? { records } : { records, beside: { checkpoints: await checkpoints() } }
    },
    // The primary key keeps ids apart.
    async *sharedIdKeys() {},
    records: async () => [],
    recordsFrom,
    async holds(id, stream) {
      for (let from = 1; ;) {
        const records = await recordsFrom(from, atOnce)
        if (records.length === 0) return false
        if (anyHolds(records, id, stream)) return true
        from = endOf(records.at(-1)) + 1
      }
    },
  }
}

function recordOf({ events, author, recorded }: DatedCommit): CommitRecord {
  const stored = events.map(storedEvent)
  const at = (stored[0] as StoredEvent).position
  return {
    at,
    n: stored.length,
    commits: [at],
    events: `[${stored.map(({ position: _, ...event }) => JSON.stringify(event)).join()}]`,
    heads: [...new Map(stored.map(({ stream, version }) => [stream, version]))],
    ids: [...new Set(stored.map(({ id }) => idKey(id)))],
    origin: { author, recorded },
  }
}
