/** The app calls `retry()` or `discard()`. */
import type { OutboxRow, SyncChange, SyncSnapshot } from '../sync-state.js'
import { hadOf, OutboxDraft, without } from './outbox-draft.js'

/**
 * A commit that was refused, or is `behind`, is wanted once more. The one that is `behind` may be at the server, or still
 * on its way: it is cancelled there first. Nothing is changed for a commit that is neither.
 *
 * @param ids new ones, for each of its events
 * @param data what a codec makes of its data under these ids
 */
export function retried(
  snapshot: SyncSnapshot,
  n: number,
  ids: readonly string[],
  data?: readonly string[],
): SyncChange | undefined {
  const draft = new OutboxDraft(snapshot)
  const row = draft.get(n)
  if (row === undefined) return undefined
  if (row.refused !== undefined) {
    draft.remove(row)
    draft.put(asNewest(row, draft.nextN, ids, data))
  } else if (row.behind !== undefined && row.cancel !== true && row.renew === undefined)
    draft.put({ ...row, renew: ids, ...(data !== undefined && { renewData: data }) })
  else return undefined
  return draft.change()
}

/**
 * A commit is not wanted any more. One that was refused, or never left this device, is gone; another one is cancelled at
 * the server, and no view shows it meanwhile. If it was accepted before the cancel came, it comes back as confirmed.
 */
export function discarded(snapshot: SyncSnapshot, n: number): SyncChange | undefined {
  const draft = new OutboxDraft(snapshot)
  const row = draft.get(n)
  if (row === undefined || row.cancel === true) return undefined
  const mayHaveLeft = row.leaves === true || n <= snapshot.state.sentTo
  const isGone = row.refused !== undefined || row.undecided !== undefined || !mayHaveLeft
  if (isGone) {
    draft.remove(row, { status: 'discarded' })
    if (row.refused === undefined) draft.follow(row)
  } else draft.put({ ...without(row, 'renew', 'renewData'), cancel: true })
  return draft.change()
}

/**
 * A commit that the app wants once more, as the newest one, under other ids: decided again if a command made it, else
 * without preconditions. One that was confirmed before the server was restored is sent as that.
 */
export function asNewest(row: OutboxRow, n: number, ids: readonly string[], data?: readonly string[]): OutboxRow {
  const rest = without(
    row,
    'refused',
    'undecided',
    'accepted',
    'behind',
    'cancel',
    'renew',
    'renewData',
    'tries',
    'leaves',
  )
  const next = {
    ...rest,
    n,
    events: row.events.map((event, index) => ({
      ...event,
      id: ids[index] as string,
      idGiven: false,
      data: data?.[index] ?? event.data,
    })),
    had: hadOf(row),
  }
  return row.command !== undefined && row.healed !== true
    ? { ...next, undecided: { code: 'conflict' } }
    : { ...without(next, 'requires', 'condition'), expect: [] }
}
