/** Removing what former versions of a read model left on this device. */
import type { EventShape } from '../events/event.js'
import { storeInternals, type TidemarkStore } from '../log/open.js'
import { isDefinition } from '../read-model/define.js'
import { removeOldVersions } from '../read-model/indexeddb/old-versions.js'

/** Resolves with whether one is left, because a context uses it or it could not be read. Never rejects. */
export async function removeFormer<E extends EventShape>(store: TidemarkStore<E>, projector: object): Promise<boolean> {
  if (!isDefinition(projector) || storeInternals(store).medium !== 'indexeddb') return false
  return removeOldVersions(store.name, projector).catch(() => true)
}
