/** Looking after a store: checking it, carrying it elsewhere, and its place on the device. */
import { persistStorage, storageUsage, type Persistence, type StorageUsage } from '../platform/storage-manager.js'
import type { ReadOptions } from './event-store.js'
import { exportLines, type ExportOptions } from './export.js'
import { wholeNumber } from './prepare.js'
import { verifyLog, type LogInspection, type Verification } from './verify.js'

/** What `openEventStore` offers beside the log itself. */
export interface StoreOperations {
  /**
   * Reads the whole log once, in bounded pages, and names what does not fit: holes, records that were edited or cannot be
   * read, streams whose versions jump, ids that stand twice, checkpoints beyond the head. Changes nothing (H76).
   *
   * It finds accidents and clumsy edits. Any code of this origin can change a log so that nothing shows.
   */
  verify(options?: ReadOptions): Promise<Verification>
  /**
   * The log as newline-delimited JSON: a header, then one line per event, in order. Each chunk is one whole line. Events
   * are as they are stored: not upcast, and with a codec still encoded, so that its keys must be kept elsewhere.
   * Checkpoints and read models are not part of it.
   *
   * @throws EventUnreadableError, IntegrityError at the first event that cannot be read, or is not there: an export is never
   * silently incomplete. `upTo` exports what stands before it.
   *
   * @example
   * const lines: string[] = []
   * for await (const line of store.export()) lines.push(line)
   * const backup = new Blob(lines, { type: 'application/x-ndjson' })
   */
  export(options?: ExportOptions): AsyncIterable<string>
  /** What the browser says of the storage of this origin; for a store in memory nothing. Never rejects. */
  usage(): Promise<StorageUsage>
  /**
   * Asks the browser not to evict this origin when the device is full. It may ask the user. Nothing protects from the user
   * clearing the site, and Safari deletes what a site stored after seven days of use without a visit (H33). Never rejects.
   */
  persist(): Promise<Persistence>
}

/** What the operations need of a store. */
export interface OperationParts {
  readonly inspection: LogInspection
  readonly medium: 'indexeddb' | 'memory'
  identity(): Promise<string>
  head(): Promise<number>
  /** Throws once the store was closed. */
  assertOpen(): void
}

export function storeOperations({ inspection, medium, identity, head, assertOpen }: OperationParts): StoreOperations {
  const onDevice = medium === 'indexeddb'
  return {
    async verify(options) {
      assertOpen()
      return verifyLog(inspection, options)
    },
    export(options = {}) {
      assertOpen()
      for (const name of ['after', 'upTo'] as const) if (options[name] !== undefined) wholeNumber(options[name], name)
      return exportLines({ head, identity, recordsFrom: (position, limit) => inspection.recordsFrom(position, limit) }, options)
    },
    usage: async () => (onDevice ? storageUsage() : {}),
    persist: async () => (onDevice ? persistStorage() : 'unsupported'),
  }
}
