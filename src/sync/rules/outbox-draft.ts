/** What the rules have in common: how rows of the outbox depend on each other, and how a change is put together. */
import { maxEntries } from '../../wire/protocol.js'
import { say } from '../../messages.js'
import { largestNOf } from '../change-rules.js'
import { reasonOf, type RefusalFacts } from './refusal-texts.js'
import type { EndedCommit, OutboxRow, SyncChange, SyncSnapshot, SyncState } from '../sync-state.js'

/** A commit of which the server said no to this many versions is refused with the next no. */
const maxTries = 100

/** Ids of events that the commit was decided on. */
export function needsOf({ requires = [], expect, condition }: OutboxRow): string[] {
  const ids = new Set(requires)
  for (const [, id] of expect) if (id !== null) ids.add(id)
  for (const id of condition?.except ?? []) ids.add(id)
  return [...ids]
}

/**
 * Whether it names all earlier commits that it was decided on. One that was decided on more than a commit may require has
 * the newest of them in `requires`, and every earlier one with an event in a stream that it expects may be another.
 */
export const namesAll = ({ requires = [] }: OutboxRow): boolean => requires.length < maxEntries

const isInExpected = ({ expect }: OutboxRow, { events }: OutboxRow): boolean =>
  events.some(({ stream }) => expect.some(([each]) => each === stream))

/** Whether a commit may have been decided on an earlier one that it does not name. */
export const isUnnamed = (row: OutboxRow, earlier: OutboxRow): boolean => {
  if (namesAll(row) || earlier.n >= row.n || !isInExpected(row, earlier)) return false
  const needs = needsOf(row)
  return !idsOf(earlier).some((id) => needs.includes(id))
}

/** The ids of its events, today's and those of earlier versions. */
export const idsOf = ({ events, had = [] }: OutboxRow): string[] => [...events.map(({ id }) => id), ...had]

/** Of how many ids of earlier versions a commit keeps the newest, and of how many the oldest. */
const mostHad = 1000

/**
 * The ids that its next version has had. What waits for long is decided again and again: of many only those are kept on
 * which others may have been decided, and those of the first version, by which the app knows it.
 */
export function hadOf(row: OutboxRow): string[] {
  const ids = idsOf(row)
  return ids.length <= 2 * mostHad ? ids : [...ids.slice(0, mostHad), ...ids.slice(-mostHad)]
}

/** The id that names this version of the commit on the wire. */
export const wireId = ({ events }: OutboxRow): string => (events[0] as { id: string }).id

/** Neither refused nor about to be decided again. */
export const isPending = ({ refused, undecided }: OutboxRow): boolean =>
  refused === undefined && undecided === undefined

/** A row without some of its fields. */
export function without<K extends keyof OutboxRow>(row: OutboxRow, ...names: readonly K[]): Omit<OutboxRow, K> {
  const copy: Partial<OutboxRow> = { ...row }
  for (const name of names) delete copy[name]
  return copy as Omit<OutboxRow, K>
}

/** Which pending commits were decided on others, and maybe more. */
class Followers {
  readonly #byId = new Map<string, number[]>()
  readonly #notNaming = new Set<number>()

  constructor(rows: Iterable<OutboxRow>) {
    for (const row of rows) this.add(row)
  }

  add(row: OutboxRow): void {
    if (!isPending(row)) return
    if (!namesAll(row)) this.#notNaming.add(row.n)
    for (const id of needsOf(row)) {
      const known = this.#byId.get(id)
      if (known === undefined) this.#byId.set(id, [row.n])
      else known.push(row.n)
    }
  }

  of(gone: OutboxRow): number[] {
    return [...idsOf(gone).flatMap((id) => this.#byId.get(id) ?? []), ...this.#notNaming]
  }
}

/** What has become of a commit, by its row and its end after the change. */
function fateOf(now: OutboxRow | undefined, ended: EndedCommit | undefined): string {
  if (now !== undefined) return now.refused === undefined ? 'decided again' : 'refused'
  if (ended === undefined) return say`sent again under other ids`
  // Confirmed: its command wanted no events any more.
  return ended.status === 'discarded' ? 'discarded' : 'decided again'
}

/** Collects what one transaction changes in the outbox. */
export class OutboxDraft {
  readonly #snapshot: SyncSnapshot
  readonly #rows: Map<number, OutboxRow>
  readonly #put = new Map<number, OutboxRow>()
  readonly #removed = new Set<number>()
  readonly #ended: EndedCommit[] = []
  /** Of all that were put or removed. */
  #largestN = -Infinity
  /** Made when they are needed. */
  #followers: Followers | undefined

  constructor(snapshot: SyncSnapshot) {
    this.#snapshot = snapshot
    this.#rows = new Map(snapshot.outbox.map((row) => [row.n, row]))
  }

  /** As they are after the changes so far, by `n`. */
  get rows(): OutboxRow[] {
    return [...this.#rows.values()].sort((one, other) => one.n - other.n)
  }

  get(n: number): OutboxRow | undefined {
    return this.#rows.get(n)
  }

  /** A number above all that were ever used. */
  get nextN(): number {
    return Math.max(largestNOf(this.#snapshot), this.#largestN) + 1
  }

  put(row: OutboxRow): void {
    this.#largestN = Math.max(this.#largestN, row.n)
    this.#followers?.add(row)
    this.#rows.set(row.n, row)
    this.#put.set(row.n, row)
    this.#removed.delete(row.n)
  }

  /** `ended`: what became of it, unless it is in the outbox under another number. */
  remove(row: OutboxRow, ended?: Omit<EndedCommit, 'name'>): void {
    this.#largestN = Math.max(this.#largestN, row.n)
    this.#rows.delete(row.n)
    this.#put.delete(row.n)
    this.#removed.add(row.n)
    if (ended !== undefined) this.#ended.push({ name: row.name, ...ended })
  }

  /** Final: kept for the app. What was decided on it follows. */
  refuse(row: OutboxRow, code: string, message: string, facts: RefusalFacts = {}): void {
    this.#refuse(row, code, message, facts)
    this.follow(row)
  }

  /** The server's final no to this version: decided again if a command made it, else refused. `isTry`: it counts. */
  decideAgain(row: OutboxRow, code: 'conflict' | 'blocked', facts: RefusalFacts, isTry = true): void {
    const { tries = 0 } = row
    if (isTry && tries >= maxTries && row.cancel !== true) this.#refuse(row, code, reasonOf(code, facts), facts)
    else this.#goes(row, code, facts, tries + Number(isTry))
    this.follow(row)
  }

  /**
   * Commits that were decided on one that is gone, and that the server does not have: decided again, or refused, and then
   * those that were decided on these. Without asking the server, which may have been restored and know nothing of it. It
   * is no try of theirs: how often it happens is bounded by the tries of what they follow.
   */
  follow(gone: OutboxRow): void {
    const followers = (this.#followers ??= new Followers(this.#rows.values()))
    // Grows as others follow. A loop: a chain of pending commits may be longer than a stack.
    const all = [gone]
    for (const each of all)
      for (const n of followers.of(each)) {
        const row = this.get(n)
        // May have changed meanwhile: it followed another one, or has other needs now.
        if (row === undefined || n === gone.n || !isPending(row)) continue
        // In the log of the server.
        if (row.accepted !== undefined) continue
        const needs = needsOf(row)
        const id = idsOf(each).find((one) => needs.includes(one)) ?? (isUnnamed(row, each) ? wireId(each) : undefined)
        if (id === undefined) continue
        this.#goes(
          row,
          'blocked',
          { id },
          row.tries,
          __DEV__ &&
            fateOf(
              this.get(each.n),
              this.#ended.find(({ name }) => name === each.name),
            ),
        )
        all.push(row)
      }
  }

  #goes(
    row: OutboxRow,
    code: 'conflict' | 'blocked',
    facts: RefusalFacts,
    tries = row.tries ?? 0,
    fate?: string | false,
  ): void {
    if (row.cancel === true) this.remove(row, { status: 'discarded' })
    else if (row.command === undefined || row.healed === true)
      this.#refuse(row, code, reasonOf(code, facts, fate), facts)
    else {
      const rest = without(row, 'behind', 'accepted', 'renew', 'renewData')
      this.put({ ...rest, ...(tries > 0 && { tries }), undecided: { code, ...facts } })
    }
  }

  #refuse(row: OutboxRow, code: string, message: string, facts: RefusalFacts): void {
    const refused = { code, message: message === '' ? code : message, ...facts }
    this.put({ ...without(row, 'undecided', 'behind', 'accepted', 'cancel', 'renew', 'renewData'), refused })
  }

  get isEmpty(): boolean {
    return this.#put.size === 0 && this.#removed.size === 0
  }

  /** The change, with a state that counts it. */
  change(
    state: Partial<SyncState> = {},
    more: Omit<SyncChange, 'state' | 'put' | 'remove' | 'ended'> = {},
  ): SyncChange {
    const removed = [...this.#removed]
    const next = changedState(this.#snapshot.state, state)
    return {
      state: { ...next, largestN: Math.max(next.largestN, this.#largestN) },
      ...(this.#put.size > 0 && { put: [...this.#put.values()] }),
      ...(removed.length > 0 && { remove: removed }),
      ...(this.#ended.length > 0 && { ended: this.#ended }),
      ...more,
    }
  }
}

/** The state after a change. */
export const changedState = (state: SyncState, patch: Partial<SyncState>): SyncState => ({
  ...state,
  ...patch,
  turn: state.turn + 1,
})
