/** The storage space of a store: `usage()` and `persist()`. */
import { persistStorage, storageUsage, type PersistenceResult, type StorageUsage } from '../platform/storage-manager.js'

/** What `openEventStore` offers in addition to the log itself. */
export interface StoreOperations {
  /** What the browser says of the storage of this origin; for a store in memory nothing. Never rejects. */
  usage(): Promise<StorageUsage>
  /**
   * Asks the browser not to evict this origin when the device is full. It may ask the user. Nothing protects from the
   * user clearing the site, and Safari deletes what a site stored after seven days of use without a visit. Never
   * rejects.
   */
  persist(): Promise<PersistenceResult>
}

export const deviceOperations: StoreOperations = { usage: storageUsage, persist: persistStorage }

/** Memory takes nothing of what the browser counts. */
export const memoryOperations: StoreOperations = { usage: async () => ({}), persist: async () => 'unsupported' }
