/** What a synced store lays over its read models, and over the values that `liveProjection` folds. */
import type { Clock } from '../../platform/clock.js'
import type { Projection } from '../../read-model/define.js'
import type { FoldedModel, LaidOver } from '../../reading/laid-over.js'
import type { LiveSource } from '../../reading/live-query.js'
import type { ModelLookout } from '../../running/shared-storage.js'
import { foldedOver } from './folded-over.js'
import { RowsOverlay, type OverlayParts } from './rows-overlay.js'

export type { OverlayParts } from './rows-overlay.js'

/** Of one store. */
export interface Overlays extends LaidOver {
  /** Why a view that is open in this context does not show an event of a pending commit, by the name of the commit. */
  unshown(commit: string): unknown
}

/** Made by a synced store, and used by `openReadModel` and `liveProjection`: see `laidOver`. */
export function overlays(parts: OverlayParts): Overlays {
  const known = new WeakMap<ModelLookout, RowsOverlay>()
  const all = new Set<WeakRef<RowsOverlay>>()
  return {
    over(lookout: ModelLookout, definition: Projection, clock: Clock): ModelLookout {
      let overlay = known.get(lookout)
      if (overlay === undefined) {
        known.set(lookout, (overlay = new RowsOverlay(parts, lookout, definition, clock)))
        all.add(new WeakRef(overlay))
      }
      return overlay.lookout
    },
    fold: <S>(model: FoldedModel<S>, clock: Clock, end: () => unknown): LiveSource<S> =>
      foldedOver(parts, model, clock, end),
    unshown(commit) {
      for (const each of all) {
        const overlay = each.deref()
        if (overlay === undefined) all.delete(each)
        const error = overlay?.unshown(commit)
        if (error !== undefined) return error
      }
      return undefined
    },
  }
}
