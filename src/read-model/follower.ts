/**
 * Which hints a reader trusts: a hint may be lost, late, doubled, merged or made up, and no change may stay unnoticed
 * for longer than one look at the stored state. Pure.
 *
 * The law: the follower knows one stamp, and its reader knows every change up to it. A hint whose `from` is exactly that
 * stamp says what changed since. Anything else makes a look necessary. Stamps are random: if they could be guessed, or
 * if hints were trusted that overlap what is known, one made-up hint could move the follower past a commit that its
 * reader does not know.
 */
import { checkedChanges, type Changes } from './changes.js'
import type { CommittedHint } from './committed-hint.js'
import { isDrawn, type Seen } from './stamps.js'

export interface Follower {
  /** The reader knows every change up to this stamp; `undefined` before the first look. */
  readonly seen: Seen | undefined
  /**
   * Returns what changed. `undefined`: nothing that the reader does not know. `'unknown'`: perhaps anything, perhaps
   * nothing; look, and only the result of the look counts. A map moves `seen`, and `'unknown'` never does.
   */
  take(hint: CommittedHint): Changes | undefined
  /**
   * Call it before the state is read, and the function that it returns with what was read. That returns `'unknown'` if
   * anything may have changed that the reader does not know: whatever it read before that look must be read again.
   * `undefined`: nothing has. The first look returns `'unknown'`.
   *
   * @example
   * const found = follower.look()
   * if (found(seenIn(await storage.state())) === 'unknown') readEverythingAgain()
   */
  look(): (found: Seen) => 'unknown' | undefined
}

/** How many hints may be trusted while a look is under way. */
const mostPassed = 64

// (N48)
export function follower(): Follower {
  let seen: Seen | undefined
  /** The last stamps that were seen, the newest last, and how many there were in all. */
  let passed: string[] = []
  let count = 0
  const move = (to: Seen) => {
    seen = to
    passed = [...passed.slice(1 - mostPassed), to.stamp]
    count += 1
  }
  return {
    get seen() {
      return seen
    },
    take({ from, to, revision, changes: posted }) {
      if (seen === undefined || !isDrawn(from) || !isDrawn(to)) return 'unknown'
      if (to === seen.stamp) return undefined
      const isNewer = revision > seen.revision
      // Late: what is known is newer. If it was made up, the next look still finds what is stored.
      if (from !== seen.stamp) return isNewer ? 'unknown' : undefined
      const changes = isNewer ? checkedChanges(posted) : 'unknown'
      if (changes !== 'unknown') move({ stamp: to, revision })
      return changes
    },
    look() {
      const from = Math.max(count - 1, 0)
      return (found) => {
        if (found.stamp === seen?.stamp) return undefined
        // Hints that came while it was under way were newer than what it found.
        if (count > from && passed.slice(from - count).includes(found.stamp)) return undefined
        move(found)
        return 'unknown'
      }
    },
  }
}
