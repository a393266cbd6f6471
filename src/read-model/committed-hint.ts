/** The hint that follows a transaction which changed what readers see. Pure. */
import type { Hint, Join } from '../platform/signals.js'
import { joined, type Changes, type LazyChanges } from './changes.js'
import { seenIn, stampIn } from './stamps.js'
import type { Moved } from './storage.js'

/** A hint that readers see something else. */
export type CommittedHint = Extract<Hint, { readonly kind: 'committed' }>

/** Nothing if readers see what they saw before. */
export function committedHint(
  projection: string,
  { before, after }: Moved,
  changes: Changes | LazyChanges,
): CommittedHint | undefined {
  if (seenIn(before).stamp === seenIn(after).stamp) return undefined
  const { revision } = seenIn(after)
  const { position } = after
  return { kind: 'committed', projection, position, revision, from: stampIn(before), to: stampIn(after), changes }
}

/** There was a commit, of which nothing is known. */
export const unknownCommit = (projection: string, position: number): CommittedHint => ({
  kind: 'committed',
  projection,
  position,
  revision: 0,
  from: '',
  to: '',
  changes: 'unknown',
})

/** For `Signals.post`: what is posted with a hint that was made here was made here as well. */
export const joinChanges: Join = (before, after) =>
  joined(before as Changes | undefined, after as Changes | LazyChanges)
