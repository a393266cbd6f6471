/** Keeps older code of an app from leading, and folds again for newer code: see `admitted`. */
import { LeadershipLostError } from '../errors.js'
import { say } from '../messages.js'
import { abortable } from '../platform/promises.js'
import { admitted, type RunningCode } from '../read-model/code.js'
import type { StateRow } from '../read-model/state.js'
import type { LeadCheck } from '../running/attach.js'

/** An edit reaches the tabs one after the other, within this time, ms. */
const sameEdit = 5_000

/**
 * Makes the checks of a run. Older code waits for the page to be reloaded.
 *
 * @param outdated called if this code is older
 */
export const newestCode =
  (code: RunningCode, outdated: () => void): LeadCheck =>
  (ports) => {
    const { storage, key } = ports
    let mine = code
    /** Only at first: what comes later than that is another edit. */
    let tolerance = sameEdit
    const check = async () => {
      const head = await ports.head()
      const verdictOn = (before: StateRow) => admitted(before, mine, head, tolerance)
      const state = await storage.state()
      let verdict = verdictOn(state)
      if (typeof verdict !== 'string') {
        await storage.move(say`folding again by newer code`, (before) => {
          verdict = verdictOn(before)
          return typeof verdict === 'string' ? { after: before } : verdict
        })
        ports.changed()
      } else if (verdict === 'same') mine = { ...mine, ranAt: Math.max(mine.ranAt, state.code?.ranAt ?? 0) }
      tolerance = 0
      return verdict
    }
    return {
      async mayLead(signal) {
        // If the storage fails, that is for the run to deal with.
        if ((await check().catch(() => undefined)) !== 'older') return
        outdated()
        await abortable(new Promise<never>(() => {}), signal)
      },
      // A run that leads already notices that newer code folds again, and must not do that work.
      check(before) {
        if (admitted(before, mine, 0, tolerance) === 'older')
          throw new LeadershipLostError(key, say`newer code is open.`)
      },
    }
  }

/** A short name for a text, which differs where the texts do, as far as chance allows. */
export function textHash(text: string): string {
  let [one, other] = [0xdeadbeef, 0x41c6ce57]
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at)
    one = Math.imul(one ^ unit, 2654435761)
    other = Math.imul(other ^ unit, 1597334677)
  }
  return `${(one >>> 0).toString(36)}-${(other >>> 0).toString(36)}-${text.length.toString(36)}`
}
