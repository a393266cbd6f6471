/** The server was restored from a backup: what this device had as confirmed, and the server lost, is given back. */
import { toJsonText } from '../../events/json.js'
import type { EventText, StoredEvent } from '../../log/record/record-text.js'
import { maxEntries } from '../../wire/protocol.js'
import type { AnsweredBy } from '../sync-effects.js'
import type { Cursor, OutboxRow, OwnRow, SyncChange, SyncSnapshot } from '../sync-state.js'
import type { ConfirmedEvents } from '../sync-storage.js'
import { isBy } from './contact.js'
import { OutboxDraft, without } from './outbox-draft.js'

/** An own commit of the part that the server lost. */
export interface LostCommit {
  /** Where its first event was. */
  readonly at: number
  readonly row: Omit<OutboxRow, 'n'>
}

export interface Healing {
  readonly by: AnsweredBy
  /** The end of the last commit that this device and the server have in common, with the server's chain there. */
  readonly cursor: Cursor
  /** The id of the event there; `null` at the beginning. */
  readonly lastId: string | null
  readonly head: number
  /** The new identity of the log on this device. */
  readonly identity: string
  /** In order. */
  readonly lost: readonly LostCommit[]
}

interface OwnCommitRead {
  readonly at: number
  readonly own: OwnRow
  readonly events: StoredEvent[]
  /** The events before it in its streams. */
  before: readonly string[]
}

/** Reads the part of the log that is to be taken back, and finds the own commits in it. */
export class LostTail {
  readonly #own: readonly OwnRow[]
  /** The last event of each stream so far. */
  readonly #last = new Map<string, string>()
  readonly #commits: OwnCommitRead[] = []
  #current: OwnCommitRead | undefined
  /** Of the own row that the next commit may be of. */
  #next = 0

  /** @param own in order */
  constructor(own: readonly OwnRow[]) {
    this.#own = own
  }

  add({ events, starts }: ConfirmedEvents): void {
    for (const event of events) {
      if (starts.has(event.position)) {
        const own = this.#ownAt(event.position)
        this.#current = own && { at: event.position, events: [], before: [], own }
        if (this.#current !== undefined) this.#commits.push(this.#current)
      }
      const { stream, id } = event
      const commit = this.#current
      const before = this.#last.get(stream)
      if (commit !== undefined) {
        if (before !== undefined && !commit.events.some((each) => each.stream === stream))
          commit.before = [...commit.before, before]
        commit.events.push(event)
      }
      this.#last.set(stream, id)
    }
  }

  /** Positions only grow. */
  #ownAt(position: number): OwnRow | undefined {
    let own = this.#own[this.#next]
    while (own !== undefined && own.at + own.n <= position) own = this.#own[(this.#next += 1)]
    return own !== undefined && own.at <= position ? own : undefined
  }

  /** Own commits, as rows that are sent again: they were facts to their user, so they expect nothing. */
  commits({ identity, left }: SyncSnapshot['state']): LostCommit[] {
    return this.#commits.map(({ at, events, before, own }) => {
      const texts = events.map(textOf)
      const first = texts[0] as EventText
      const requires = [...new Set([...(own.needs ?? []), ...before])].slice(0, maxEntries)
      // In each identity of the log in which it was there.
      const was = left.filter((_, index) => left.slice(index).every(({ upTo }) => upTo >= at))
      return {
        at,
        row: {
          name: own.name ?? first.id,
          time: first.time,
          events: texts,
          expect: [],
          ...(requires.length > 0 && { requires }),
          healed: true,
          was: { ...own.was, ...Object.fromEntries(was.map((each) => [each.identity, at])), [identity]: at },
        },
      }
    })
  }
}

/**
 * The log of this device ends at the common part; own commits behind it go back to the outbox, before all others and
 * under their old ids. What others had there comes back from their devices.
 */
export function healed(snapshot: SyncSnapshot, healing: Healing): SyncChange | undefined {
  const { state } = snapshot
  const { by, cursor, head, identity, lost, lastId } = healing
  if (!isBy(state, by) || cursor.at >= state.cursor.at) return undefined
  const draft = new OutboxDraft(snapshot)
  for (const row of snapshot.outbox) {
    const { condition, accepted } = row
    const isCut = condition !== undefined && condition.at > cursor.at
    if (accepted === undefined && !isCut) continue
    draft.put({
      ...without(row, 'accepted'),
      ...(isCut && { condition: { ...condition, after: lastId, at: cursor.at } }),
    })
  }
  const first = Math.min(0, ...snapshot.outbox.slice(0, 1).map(({ n }) => n)) - lost.length
  for (const [index, { row }] of lost.entries()) draft.put({ ...row, n: first + index })
  return draft.change(
    {
      cursor,
      head,
      isFresh: true,
      marks: state.marks.filter(({ at }) => at < cursor.at),
      identity,
      left: [...state.left, { identity: state.identity, upTo: cursor.at }],
    },
    { takeBack: { upTo: cursor.at } },
  )
}

/** The log is the server's: only the server's word for it is another one. */
export function rechained(
  snapshot: SyncSnapshot,
  by: AnsweredBy,
  cursor: Cursor,
  head: number,
): SyncChange | undefined {
  const { state } = snapshot
  if (!isBy(state, by) || cursor.at !== state.cursor.at) return undefined
  return new OutboxDraft(snapshot).change({ cursor, head, isFresh: true, marks: [] })
}

const textOf = ({ type, data, meta, stream, id, time, schema = 1 }: StoredEvent): EventText => ({
  type,
  stream,
  id,
  idGiven: true,
  time,
  schema,
  data: toJsonText(data, 'data'),
  meta: meta === undefined ? undefined : toJsonText(meta, 'meta'),
})
