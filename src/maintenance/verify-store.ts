/** Looking for damage: every record of the log against every other, and what is stored beside them. */
import type { EventShape } from '../events/event.js'
import { onlyKnown } from '../platform/arguments.js'
import { LogAudit, type LogDefect } from './audit.js'
import type { ReadOptions } from '../log/event-store.js'
import { inspectionOf, nextPageSize } from './inspection.js'
import type { LogInspection, SharedIdKey } from './log-inspection.js'
import { recordsLock, storeInternals, type TidemarkStore } from '../log/open.js'
import { decodeRecord, idKey } from '../log/record/record.js'

/** What {@link verifyEventStore} found. */
export interface VerificationResult {
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

/**
 * Reads the whole log once, in bounded pages, and names what does not fit: holes, records that were edited or cannot be
 * read, streams whose versions jump, ids that stand twice, checkpoints beyond the head. Changes nothing. What is
 * appended meanwhile is looked at too; `compactEvents` waits.
 *
 * It finds accidents and clumsy edits. Any code of this origin can change a log so that nothing shows.
 *
 * @param store of `openEventStore`, or a copy of one
 * @param options `signal` ends it: it rejects with the signal's reason
 * @throws InvalidArgumentError if `store` was not opened with `openEventStore`, and for misspelt options; ClosedError,
 * StorageLostError where it is closed or gone
 *
 * @example
 * const { ok, defects } = await verifyEventStore(store)
 * if (!ok) report(defects.map(({ message }) => message))
 */
export async function verifyEventStore<E extends EventShape>(
  store: TidemarkStore<E>,
  options: ReadOptions = {},
): Promise<VerificationResult> {
  onlyKnown(options, ['signal'])
  const { signal } = options
  const parts = storeInternals(store)
  parts.assertOpen()
  const inspection = inspectionOf(store.name, parts)
  const audit = new LogAudit()
  const guard = await store.coordinator.acquire(recordsLock, signal === undefined ? {} : { signal })
  try {
    let after: unknown
    for (let size = 16; ;) {
      signal?.throwIfAborted()
      const { records, beside } = await inspection.page(after, size)
      for (const record of records) audit.record(record)
      if (beside !== undefined) {
        audit.beside(beside)
        break
      }
      after = (records.at(-1) as { at: unknown }).at
      size = nextPageSize(size, records)
    }
    for await (const groups of inspection.sharedIdKeys()) {
      signal?.throwIfAborted()
      for (const group of groups) await findDuplicates(inspection, group, audit, signal)
    }
  } finally {
    guard.release()
  }
  const { head, events, defects, unlisted } = audit
  return { ok: defects.length === 0, head, events, defects, unlisted }
}

/** Ids of one key that stand in more than one record. Those within a record were found with it. */
async function findDuplicates(
  inspection: LogInspection,
  { key, at }: SharedIdKey,
  audit: LogAudit,
  signal: AbortSignal | undefined,
): Promise<void> {
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
