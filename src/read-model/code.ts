/**
 * Which code made the rows, while an app is developed: edited handlers fold again, and a tab with older code neither
 * leads nor folds again over newer code. Pure.
 */
import { rebuildStarted, type StateRow, type Transition } from './state.js'

/** The code of the handlers that made the rows. */
export interface ModelCode {
  /** Their text, or a hash of it. */
  readonly text: string
  /** When its module ran, in ms since the epoch. */
  readonly ranAt: number
}

/** Code that wants to lead. */
export interface RunningCode extends ModelCode {
  /** When the code ran that it took over from in its page; absent where the page was loaded. */
  readonly replaced?: number | undefined
}

/**
 * Beyond this many events, an edit that does not show in the text of the handlers, as that of a function which they
 * call, is not folded again.
 */
const refoldedEvents = 50_000

/**
 * Whether code may lead: `'older'` if newer code is open, `'same'` if the rows are of this code, otherwise how they are
 * folded again.
 *
 * @param tolerance how much later the same text may have run in another tab and be the same code, ms
 */
export function admitted(
  before: StateRow,
  running: RunningCode,
  head: number,
  tolerance = 0,
): 'older' | 'same' | Transition {
  const { text, ranAt, replaced } = running
  const { code } = before
  const mine: ModelCode = { text, ranAt }
  if (code === undefined)
    return before.position === 0 && before.rebuild === undefined
      ? { after: { ...before, code: mine } }
      : again(before, mine)
  if (code.text !== text) return code.ranAt > ranAt ? 'older' : again(before, mine)
  if (code.ranAt > ranAt + tolerance) return 'older'
  // If it was folded again since the replaced code ran, another tab took over before.
  const isEdited = replaced !== undefined && code.ranAt <= replaced
  return isEdited && head <= refoldedEvents ? again(before, mine) : 'same'
}

/** Behind the rows that readers see. No run owns it, so that one of older code ends. */
const again = (before: StateRow, code: ModelCode): Transition => {
  const { after, ...rest } = rebuildStarted(before)
  return { ...rest, after: { ...after, owner: '', code } }
}
