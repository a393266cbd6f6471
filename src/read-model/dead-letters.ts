/** When a dead letter may be removed, and the state without it. Pure, as `state.ts`. */
import { InvalidArgumentError, LeadershipLostError } from '../errors.js'
import { say } from '../messages.js'
import type { DeadLetterRecord } from '../projection/target.js'
import type { TableQuery } from './selection.js'
import type { RowChanges, StateRow } from './state.js'

/** A question that a unit of work asked, and the answer: a row or `null`, or a list of rows. */
export interface Asked extends TableQuery {
  readonly answer: unknown
}

/** A dead letter whose event was applied after all. */
export interface Replay {
  /** The state when that began. */
  readonly from: StateRow
  /** What the event read, and what it wrote. */
  readonly read: readonly Asked[]
  readonly rows: RowChanges
}

/** What a transaction found. */
export interface LetterFound {
  readonly letter: DeadLetterRecord | undefined
  /** All dead letters up to it, in order; only needed if it blocks its stream. */
  readonly upToIt: readonly DeadLetterRecord[]
  /** What the event asked would return the same still: the rows that it read, and no others. */
  readonly rowsAsRead: boolean
}

/**
 * The state once a dead letter is removed. `from`: because its event was applied after all, to rows that were read in
 * that state; the checkpoint may have moved since. Raises the epoch where rows change or a stream is freed, so that the
 * leader reads them again.
 */
export function letterRemoved(key: string, before: StateRow, found: LetterFound, from?: StateRow): StateRow {
  const { letter } = found
  if (from !== undefined) assertReplayable(key, before, from, found)
  if (letter === undefined) return before
  const { holds, ...rest } = before
  const letters = Math.max(0, rest.letters - 1)
  const raises = from !== undefined || letter.holdsStream === true
  return { ...rest, ...(letters > 0 && holds && { holds }), letters, epoch: rest.epoch + (raises ? 1 : 0) }
}

function assertReplayable(
  key: string,
  before: StateRow,
  from: StateRow,
  { letter, upToIt, rowsAsRead }: LetterFound,
): void {
  // Without any change in between the rows need not be compared, which only works for plain data.
  const untouched = before.epoch === from.epoch && before.position === from.position
  if (before.shown !== from.shown || before.log !== from.log || !(untouched || rowsAsRead))
    throw new LeadershipLostError(key, say`the rows that the replay of a dead letter started from were changed.`)
  if (letter === undefined)
    throw new InvalidArgumentError('letter', say`does not exist any more: it was replayed or discarded already.`)
  const first = letter.holdsStream && upToIt.find((each) => each.holdsStream && each.stream === letter.stream)
  if (first && first.position < letter.position)
    throw new InvalidArgumentError(
      'letter',
      say`waits for that of position ${first.position}, which is of the same stream and comes first. Replay or discard that one before.`,
    )
}
