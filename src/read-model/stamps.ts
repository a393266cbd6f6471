/**
 * What readers see has a random name, its stamp: as long as that is the same, so are the rows. Part of the state. Pure.
 */
import { stampedFingerprint } from './fingerprint.js'
import { stampOf, type StateRow, type Transition } from './state.js'

/** What readers see, by its name. */
export interface Seen {
  readonly stamp: string
  /** Raised with every new stamp, as long as the read model is not deleted. */
  readonly revision: number
}

/** What a stamp in the state is true of: it changes with each change that another build, which draws none, may make. */
const visible = (state: StateRow): string => stampOf(state, false)

const isTrue = (state: StateRow): boolean => state.stamp?.of === visible(state)

/**
 * What readers of this state see. Where a build that does not know of stamps wrote last, the name is made of epoch and
 * position, and no hint ever names it.
 */
export const seenIn = (state: StateRow): Seen => ({
  stamp: state.stamp !== undefined && isTrue(state) ? state.stamp.id : visible(state),
  revision: state.stamp?.revision ?? 0,
})

/** Whether a stamp was drawn: any other one can be guessed, and no hint may name it. */
export const isDrawn = (stamp: string): boolean => stamp !== '' && !stamp.includes(':')

/** The stamp as hints name it; empty where there is none. */
export const stampIn = (state: StateRow): string => (isTrue(state) ? (state.stamp?.id ?? '') : '')

// (N47)
/**
 * The state after a transition, with its stamp: `drawn` if readers see something else. A read model that has none yet
 * gets one with the first change that they see.
 */
export function stamped(before: StateRow, { after, shows = false }: Transition, drawn: string): StateRow {
  const known = before.stamp
  if (known === undefined && !shows) return after
  const of = visible(after)
  const stamp =
    known !== undefined && !shows && isTrue(before)
      ? { ...known, of }
      : { id: drawn, revision: (known?.revision ?? 0) + 1, of }
  return { ...after, fingerprint: stampedFingerprint(after.fingerprint), stamp }
}
