/** The browser's storage manager, where there is one. */

import { feature } from './features.js'

/** What the browser says of this origin's storage. A property is missing where it does not say. */
export interface StorageUsage {
  /**
   * Bytes that the whole origin takes: every store, read model, cache and file of it. Browsers pad and round it, and it
   * trails behind what was just written; sizes differ between storage engines.
   */
  readonly usage?: number
  /** Bytes that the origin may take, as far as the browser tells. */
  readonly quota?: number
  /** Whether the browser asks before it evicts this origin when the device is full. */
  readonly persisted?: boolean
}

/** `'unsupported'`: the browser cannot be asked here, which is so in workers. */
export type PersistenceResult = 'persisted' | 'refused' | 'unsupported'

const manager = (): Partial<StorageManager> | undefined => feature(({ navigator }) => navigator.storage)

/** Never rejects: what cannot be found out is left out. */
export async function storageUsage(): Promise<StorageUsage> {
  const storage = manager()
  const [estimate, persisted] = await Promise.all([
    attempt(() => storage?.estimate?.()),
    attempt(() => storage?.persisted?.()),
  ])
  return {
    ...(estimate?.usage === undefined ? {} : { usage: estimate.usage }),
    ...(estimate?.quota === undefined ? {} : { quota: estimate.quota }),
    ...(persisted === undefined ? {} : { persisted }),
  }
}

/** Asks for persistence. Never rejects. */
export async function persistStorage(): Promise<PersistenceResult> {
  const storage = manager()
  if ((await attempt(() => storage?.persisted?.())) === true) return 'persisted'
  const granted = await attempt(() => storage?.persist?.())
  return granted === undefined ? 'unsupported' : granted ? 'persisted' : 'refused'
}

/** Storage managers reject where the origin is opaque, and some methods exist only in windows. */
async function attempt<T>(ask: () => Promise<T> | undefined): Promise<T | undefined> {
  try {
    return await ask()
  } catch {
    return undefined
  }
}
