/** Looking for damage: every record of the log against every other, and what is stored beside them (H76). */
import { LogAudit, type LogDefect, type StoredBeside } from './audit.js'
import type { ReadOptions } from './event-store.js'
import type { MemoryLog } from './memory-log.js'
import { decodeRecord, idKey, type CommitRecord } from './record.js'

/** What `verify` found. */
export interface Verification {
  /** Nothing is wrong. */
  readonly ok: boolean
  /** The last position in the log. */
  readonly head: number
  /** How many events were looked at. */
  readonly events: number
  /** In the order of the log, 1,000 at most. */
  readonly defects: readonly LogDefect[]
  /** How many more there are. */
  readonly unlisted: number
}

/** The log as it is stored, for looking at. */
export interface LogInspection {
  /** Records in the order of keys, after a key or from the first. With the last ones also what stands beside them, of the same moment. */
  page(after: IDBValidKey | undefined, limit: number): Promise<{ readonly records: readonly unknown[]; readonly beside?: StoredBeside }>
  /** Keys of the index `ids` under which more than one record stands, a bounded number at a time. */
  sharedIdKeys(): AsyncIterable<readonly SharedIdKey[]>
  /** The records at some keys, where they are. */
  records(at: readonly number[]): Promise<readonly CommitRecord[]>
  /** Records from the one on that holds a position. */
  recordsFrom(position: number, limit: number): Promise<readonly CommitRecord[]>
}

export interface SharedIdKey {
  readonly key: string
  readonly at: readonly number[]
}

/** A log in memory: its records, of one commit each, and the checkpoints beside it. Ids are kept apart by its own map. */
export function memoryInspection(log: Pick<MemoryLog, 'records'>, checkpoints: ReadonlyMap<string, number>): LogInspection {
  return {
    async page(after, limit) {
      // The record that holds the key comes again, and does not count.
      const again = after === undefined ? 0 : 1
      const page = (await log.records(again === 0 ? 1 : (after as number), limit + again)).slice(again)
      if (page.length === limit) return { records: page }
      return { records: page, beside: { checkpoints: [...checkpoints].map(([name, position]) => ({ name, position })) } }
    },
    async *sharedIdKeys() {},
    records: async () => [],
    recordsFrom: (position, limit) => log.records(position, limit),
  }
}

/** A page holds so many records at most … */
const mostRecords = 128
/** … and grows no further above so many characters. */
const mostCharacters = 512 * 1024

/** How many records to read next, after a page of some. */
export function nextPageSize(size: number, records: readonly unknown[]): number {
  const characters = records.reduce<number>((sum, record) => sum + String((record as { events?: unknown } | null)?.events).length, 0)
  return characters < mostCharacters ? Math.min(size * 2, mostRecords) : Math.max(1, Math.floor(size / 2))
}

/** Reads everything once, page by page. What is appended meanwhile is looked at too. */
export async function verifyLog(inspection: LogInspection, { signal }: ReadOptions = {}): Promise<Verification> {
  const audit = new LogAudit()
  let after: IDBValidKey | undefined
  for (let size = 16; ;) {
    signal?.throwIfAborted()
    const { records, beside } = await inspection.page(after, size)
    for (const record of records) audit.record(record)
    if (beside !== undefined) {
      audit.beside(beside)
      break
    }
    after = (records.at(-1) as { at: IDBValidKey }).at
    size = nextPageSize(size, records)
  }
  for await (const groups of inspection.sharedIdKeys()) {
    signal?.throwIfAborted()
    for (const group of groups) await findDuplicates(inspection, group, audit, signal)
  }
  const { head, events, defects, unlisted } = audit
  return { ok: defects.length === 0, head, events, defects, unlisted }
}

/** Ids of one key that stand in more than one record. Those within a record were found with it. */
async function findDuplicates(inspection: LogInspection, { key, at }: SharedIdKey, audit: LogAudit, signal: AbortSignal | undefined): Promise<void> {
  const seen = new Map<string, { position: number; record: number }>()
  for (let from = 0; from < at.length; from += 16) {
    signal?.throwIfAborted()
    for (const record of await inspection.records(at.slice(from, from + 16))) {
      for (const { id, position } of decodeRecord(record).events) {
        if (id === '' || idKey(id) !== key) continue
        const first = seen.get(id)
        if (first === undefined) seen.set(id, { position, record: record.at })
        else if (first.record !== record.at) audit.duplicateId(id, first.position, position)
      }
    }
  }
}
