/** Looking after a store: checking it, carrying it elsewhere, and asking for its place on the device. */
import type { ReadOptions } from './event-store.js'
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
}

/** The operations over a log as it is stored. `assertOpen` rejects once the store was closed. */
export function storeOperations(inspection: LogInspection, assertOpen: () => Promise<unknown>): StoreOperations {
  return {
    async verify(options) {
      await assertOpen()
      return verifyLog(inspection, options)
    },
  }
}
