/** Noticing the commits of a read model, by whichever context they are made. */
import { hasCode } from '../errors.js'
import type { Clock } from '../platform/clock.js'
import { lookOut } from '../platform/lookout.js'
import type { Signals } from '../platform/signals.js'
import { checkedChanges } from '../read-model/changes.js'
import { stampOf, type StateRow } from '../read-model/state.js'
import type { ReadModelStorage } from '../read-model/storage.js'

/** A lost hint is made up for within this many ms (H66). */
const slowPoll = 5_000

/** Rows that were read under one stamp belong together. */
export const commitStampOf = (state: StateRow): string => stampOf(state, false)

/**
 * Calls back for each commit: by hints, and every few seconds by reading the state, as hints may be lost. Returns how
 * to stop that.
 */
export function watchCommits(
  key: string,
  storage: Pick<ReadModelStorage, 'state'>,
  signals: Signals,
  clock: Clock,
  changed: (tables: readonly string[] | 'unknown') => void,
): () => void {
  let seen: string | undefined
  let isLost = false
  /** Queries that showed rows of a deleted store run again, so that they say so. */
  const failed = (error: unknown) => {
    if (!isLost && hasCode(error, 'storage-lost')) {
      isLost = true
      changed('unknown')
    }
    return seen ?? ''
  }
  const checkForCommit = async () => {
    // If the first read fails, the next one is not the first: a commit in between would be missed.
    const stamp = await storage.state().then(commitStampOf, failed)
    if (stamp === seen) return
    const first = seen === undefined
    seen = stamp
    if (!first) changed('unknown')
  }
  void checkForCommit()
  const stopListening = signals.listen((hint) => {
    if (hint.kind !== 'committed' || hint.projection !== key) return
    const changes = checkedChanges(hint.changes)
    changed(changes === 'unknown' ? changes : [...changes.keys()])
  })
  const stopLooking = lookOut(clock, slowPoll, () => void checkForCommit())
  return () => {
    stopListening()
    stopLooking()
  }
}
