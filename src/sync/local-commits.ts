/** The commits of a local log as they are stored, for a store that adopts them. */
import { EventUnreadableError, InvalidEventError, LogInconsistentError } from '../errors.js'
import type { EventText, StoredEvent } from '../log/record/record-text.js'
import { assertContiguous, decodeRecord, endOf, unreadableError } from '../log/record/record.js'
import { nextPageSize } from '../maintenance/inspection.js'
import type { LogInspection } from '../maintenance/log-inspection.js'
import { say } from '../messages.js'
import { Slices } from '../platform/slices.js'
import { assertFits } from './limits.js'
import type { LocalCommit } from './rules/adopted.js'
import { textOf } from './stored-of.js'

/**
 * Each commit behind a position where one ends, up to a position where one ends. Pauses, so that the page can respond.
 *
 * @throws EventUnreadableError, LogInconsistentError at the first event that cannot be read, or is not there
 * @throws InvalidEventError for a commit that is larger than every server takes, with its position
 */
export async function* localCommits(
  inspection: LogInspection,
  after: number,
  head: number,
): AsyncGenerator<LocalCommit, void, undefined> {
  const slices = new Slices()
  let next = after + 1
  let at = next
  let [events, versions]: [EventText[], number[]] = [[], []]
  for (let size = 16; next <= head;) {
    const records = await inspection.recordsFrom(next, size)
    slices.began()
    const from = next
    for (const record of records) {
      if (next > head) break
      assertContiguous(record, next)
      const decoded = decodeRecord(record)
      if (decoded.problem !== undefined) throw unreadableError(next, decoded.problem)
      const starts = new Set(record.commits)
      for (const event of decoded.events) {
        if (event.position < next || event.position > head) continue
        if (starts.has(event.position) && events.length > 0) {
          yield fitting({ at, events, versions })
          at = event.position
          ;[events, versions] = [[], []]
        }
        events.push(textOf(event))
        versions.push(event.version)
        next = event.position + 1
      }
      await slices.turn()
    }
    if (next === from)
      throw new LogInconsistentError(
        next,
        say`There is no event at position ${next}, but the log ends at ${endOf(records.at(-1))}.`,
      )
    size = nextPageSize(size, records)
  }
  if (events.length > 0) yield fitting({ at, events, versions })
}

/**
 * Looks at whole commits of a log.
 *
 * @throws InvalidEventError for one that is larger than every server takes
 */
export function assertAllFit(events: readonly StoredEvent[], starts: ReadonlySet<number>): void {
  for (let from = 0; from < events.length;) {
    const next = events.findIndex(({ position }, index) => index > from && starts.has(position))
    const own = events.slice(from, next < 0 ? events.length : next)
    fitting({ at: own[0]?.position ?? 0, events: own.map(textOf), versions: [] })
    from += own.length
  }
}

/** @throws InvalidEventError */
function fitting(commit: LocalCommit): LocalCommit {
  const { at, events } = commit
  for (const [index, { id, stream, type }] of events.entries())
    if (![id, stream, type].every((name) => typeof name === 'string' && name !== ''))
      throw new EventUnreadableError(at + index, say`its record does not hold what it should`)
  assertFits({ events, pathOf: (index) => say`local, the event at position ${at + index}` })
  return commit
}

/** @throws InvalidEventError */
export const twiceUsed = (at: number, id: string): InvalidEventError =>
  new InvalidEventError(
    say`local, the commit at position ${at}`,
    say`has the id '${id}', which another commit in the outbox of the synced store has. Wait until that is confirmed, or discard it.`,
  )
