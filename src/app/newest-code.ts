/** Keeps older code of an app from leading, and folds again for newer code: see `admitted`. */
import { say } from '../messages.js'
import { abortable } from '../platform/promises.js'
import { admitted, type RunningCode } from '../read-model/code.js'
import type { LeadCheck } from '../running/attach.js'

/**
 * Makes the check of a run: it resolves once the run may lead, for older code never. Rejects when `signal` aborts.
 *
 * @param outdated called if this code is older: it waits for the page to be reloaded
 */
export const newestCode =
  (code: RunningCode, outdated: () => void): LeadCheck =>
  (ports) => {
    const { storage } = ports
    const check = async () => {
      const head = await ports.head()
      let verdict = admitted(await storage.state(), code, head)
      if (typeof verdict === 'string') return verdict
      await storage.move(say`folding again by newer code`, (before) => {
        verdict = admitted(before, code, head)
        return typeof verdict === 'string' ? { after: before } : verdict
      })
      ports.changed()
      return verdict
    }
    return async (signal) => {
      // If the storage fails, that is for the run to deal with.
      if ((await check().catch(() => undefined)) !== 'older') return
      outdated()
      await abortable(new Promise<never>(() => {}), signal)
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
