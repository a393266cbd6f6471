/** A page of the server's log arrived. */
import type { EventText } from '../../log/record/record-text.js'
import { isShown } from '../overlay/in-rows.js'
import type { PulledPage } from '../sync-effects.js'
import type { OutboxRow, OwnRow, SyncChange, SyncSnapshot } from '../sync-state.js'
import { isBy } from './contact.js'
import { marked } from './marks.js'
import { looseIds } from './loose.js'
import { arrived, isAwaiting } from './lost.js'
import { isPending, needsOf, OutboxDraft } from './outbox-draft.js'
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
  for (const { n, behind: id, lost } of rows)
    for (const each of new Set([...(id === undefined ? [] : [id]), ...(lost?.awaits ?? [])]))
      behind.set(each, [...(behind.get(each) ?? []), n])
  const unaware = new Unaware(draft, places)
  const own: OwnRow[] = []
  for (const [index, { id, stream }] of events.entries()) {
    // What it waited for is there now: it is sent with the others again.
    for (const n of behind.get(id) ?? []) {
      const waiting = draft.get(n)
      if (waiting !== undefined && (waiting.behind === id || isAwaiting(waiting))) draft.put(arrived(waiting, id))
    }
    const row = draft.get(places.get(id) ?? NaN)
    // What was discarded or refused here was not seen either, unless before that.
    if (!places.has(id) || (row !== undefined && !isShown(row))) unaware.of(stream, id)
    if (row === undefined) continue
    if (isIn(row, events, index)) {
      draft.remove(row, { status: 'confirmed', position: at + index })
      own.push(ownRow(row, at + index))
    } else if (row.refused === undefined && row.events.some((each) => each.id === id)) taken(draft, row, id)
  }
  return own
}

/**
 * Commits that were decided on loose commits of the outbox, or on events that a restored server lost: a foreign event of the
 * stream comes before, and they did not see it.
 */
class Unaware {
  readonly #draft: OutboxDraft
  readonly #places: ReadonlyMap<string, number>
  /** By stream: their places, and the places of what they expect. */
  readonly #rows = new Map<string, { readonly n: number; readonly on: string }[]>()

  constructor(draft: OutboxDraft, places: ReadonlyMap<string, number>) {
    this.#draft = draft
    this.#places = places
    const loose = looseIds(draft.rows)
    for (const { n, expect, lost } of draft.rows)
      for (const [stream, on] of expect)
        if (on !== null && (loose.has(on) || lost?.awaits.includes(on) === true)) this.#rows.set(stream, [...(this.#rows.get(stream) ?? []), { n, on }])
  }

  of(stream: string, foreign: string): void {
    for (const { n, on } of this.#rows.get(stream) ?? []) {
      const row = this.#draft.get(n)
      const isOpen = row !== undefined && isPending(row) && row.cancel !== true && row.renew === undefined
      // It is not what was planned any more, or what it expects was there first.
      if (!isOpen || row.accepted !== undefined || !row.expect.some(([each, id]) => each === stream && id === on))
        continue
      const isBefore = this.#draft.get(this.#places.get(on) ?? NaN) !== undefined || row.lost?.awaits.includes(on) === true
      if (isBefore && row.lost?.saw.includes(foreign) !== true && !this.#follows(row, foreign))
        this.#draft.decideAgain(row, 'conflict', { stream, id: foreign })
    }
  }

  /** Whether a commit was decided on an event of the outbox, or on commits that were. */
  #follows(row: OutboxRow, id: string): boolean {
    if (!this.#places.has(id)) return false
    const ids = new Set(needsOf(row))
    // Grows on the way.
    for (const need of ids) {
      if (need === id) return true
      const other = this.#draft.get(this.#places.get(need) ?? NaN)
      for (const earlier of other === undefined ? [] : needsOf(other)) ids.add(earlier)
    }
    return false
  }
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
