/** The server was restored from a backup: what this device had as confirmed, and the server lost, is given back. */
import type { EventText, StoredEvent } from '../../log/record/record-text.js'
import { maxEntries } from '../../wire/protocol.js'
import { textOf } from '../stored-of.js'
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
  readonly before: string[]
}

type Place = Pick<StoredEvent, 'id' | 'stream' | 'position'>

/** Reads the part of the log that is to be taken back, and finds the own commits in it. */
export class LostTail {
  readonly #own: readonly OwnRow[]
  /** The last event of each stream so far. */
  readonly #last = new Map<string, Place>()
  /** Needs of commits that may have more of them than a commit may require. */
  readonly #manyNeeds: ReadonlySet<string>
  /** Where those are that were met here. */
  readonly #places = new Map<string, Place>()
  readonly #commits: OwnCommitRead[] = []
  #current: OwnCommitRead | undefined
  /** Of the own row that the next commit may be of. */
  #next = 0

  /** @param own in order */
  constructor(own: readonly OwnRow[]) {
    this.#own = own
    this.#manyNeeds = new Set(own.flatMap(({ needs = [], n }) => (needs.length + n > maxEntries ? needs : [])))
  }

  add({ events, starts }: ConfirmedEvents): void {
    for (const event of events) {
      if (starts.has(event.position)) {
        const own = this.#ownAt(event.position)
        this.#current = own && { at: event.position, events: [], before: [], own }
        if (this.#current !== undefined) this.#commits.push(this.#current)
      }
      const { stream, id, position } = event
      const place = { id, stream, position }
      if (this.#manyNeeds.has(id)) this.#places.set(id, place)
      const commit = this.#current
      const before = this.#last.get(stream)
      if (commit !== undefined) {
        if (before !== undefined && !commit.events.some((each) => each.stream === stream))
          this.#precedes(commit, before)
        commit.events.push(event)
      }
      this.#last.set(stream, place)
    }
  }

  #precedes(commit: OwnCommitRead, place: Place): void {
    commit.before.push(place.id)
    if (this.#manyNeeds.size > 0) this.#places.set(place.id, place)
  }

  /** Positions only grow. */
  #ownAt(position: number): OwnRow | undefined {
    let own = this.#own[this.#next]
    while (own !== undefined && own.at + own.n <= position) own = this.#own[(this.#next += 1)]
    return own !== undefined && own.at <= position ? own : undefined
  }

  /**
   * The events that a commit may require are limited, and it may have been decided on more: then the last one of each stream counts,
   * which is given back after those before it, the newest first. What is not in this part is known to the server, and
   * comes after that. (Causes are left out only if they are in more streams than a commit may require events.)
   */
  #mostNeeded(ids: readonly string[]): readonly string[] {
    if (ids.length <= maxEntries) return ids
    const rest: string[] = []
    const last = new Map<string, Place>()
    for (const id of ids) {
      const place = this.#places.get(id)
      if (place === undefined) rest.push(id)
      else if (place.position > (last.get(place.stream)?.position ?? 0)) last.set(place.stream, place)
    }
    const lost = [...last.values()].sort((one, other) => other.position - one.position)
    return [...lost.map(({ id }) => id), ...rest].slice(0, maxEntries)
  }

  /** Own commits, as rows that are sent again: they were facts to their user, so they expect nothing. */
  commits({ identity, left }: SyncSnapshot['state']): LostCommit[] {
    return this.#commits.map(({ at, events, before, own }) => {
      const texts = events.map(textOf)
      const first = texts[0] as EventText
      const requires = this.#mostNeeded([...new Set([...(own.needs ?? []), ...before])])
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
