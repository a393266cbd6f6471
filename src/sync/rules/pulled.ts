/** A page of the server's log arrived. */
import type { EventText } from '../../log/record/record-text.js'
import type { PulledPage } from '../sync-effects.js'
import type { OutboxRow, OwnRow, SyncChange, SyncSnapshot } from '../sync-state.js'
import { isBy } from './contact.js'
import { marked } from './marks.js'
import { needsOf, OutboxDraft, without } from './outbox-draft.js'
import { idTaken } from './refusal-texts.js'
import { isSameText } from './same-event.js'

/**
 * Goes to the end of the log, if that is where the page was pulled from. What is the log's is not the outbox's: own
 * commits in the page are confirmed, also one that was refused or is being cancelled. Thrown away: a page of another
 * epoch, and one that does not begin at the cursor, so that nothing is stored twice or left out.
 */
export function pulled(snapshot: SyncSnapshot, page: PulledPage): SyncChange | undefined {
  const { state } = snapshot
  const { cursor } = state
  if (!isBy(state, page.by) || page.after.at !== cursor.at || page.after.chain !== cursor.chain) return undefined
  const isNews = page.events.events.length > 0 || page.cursor.at !== cursor.at
  if (!isNews && state.isFresh && state.head === page.head && page.cursor.chain === cursor.chain) return undefined
  const draft = new OutboxDraft(snapshot)
  // (N60, N61)
  const own = takeOwn(draft, page)
  return draft.change(
    {
      cursor: page.cursor,
      head: Math.max(page.head, page.cursor.at),
      isFresh: true,
      marks: isNews ? marked(state.marks, cursor) : state.marks,
    },
    {
      ...(page.events.events.length > 0 && { pulled: page.events }),
      ...(own.length > 0 && { own }),
    },
  )
}

/** Moves own commits out of the outbox. */
function takeOwn(draft: OutboxDraft, { events: { at, events } }: PulledPage): OwnRow[] {
  const rows = draft.rows
  if (rows.length === 0) return []
  const places = new Map(rows.flatMap((row) => row.events.map(({ id }) => [id, row.n] as const)))
  const behind = new Map<string, number[]>()
  for (const { n, behind: id } of rows) if (id !== undefined) behind.set(id, [...(behind.get(id) ?? []), n])
  const own: OwnRow[] = []
  for (const [index, { id }] of events.entries()) {
    // What it waited for is there now: it is sent with the others again.
    for (const n of behind.get(id) ?? []) {
      const waiting = draft.get(n)
      if (waiting?.behind === id) draft.put(without(waiting, 'behind'))
    }
    const row = draft.get(places.get(id) ?? NaN)
    if (row === undefined) continue
    if (isIn(row, events, index)) {
      draft.remove(row, { status: 'confirmed', position: at + index })
      own.push(ownRow(row, at + index))
    } else if (row.refused === undefined && row.events.some((each) => each.id === id)) taken(draft, row, id)
  }
  return own
}

/** Another commit has one of its ids. */
function taken(draft: OutboxDraft, row: OutboxRow, id: string): void {
  if (row.cancel === true) draft.remove(row, { status: 'discarded' })
  else return draft.refuse(row, 'id-taken', idTaken(id), { id })
  draft.follow(row)
}

/** Whether all of a commit begins at this index. */
const isIn = (row: OutboxRow, events: readonly EventText[], from: number): boolean =>
  row.events.every((event, index) => {
    const other = events[from + index]
    return other !== undefined && isSameText(event, other)
  })

function ownRow(row: OutboxRow, at: number): OwnRow {
  const { name, events, was } = row
  const needs = needsOf(row)
  return {
    at,
    n: events.length,
    ...(name !== events[0]?.id && { name }),
    ...(needs.length > 0 && { needs }),
    ...(was !== undefined && { was }),
  }
}
