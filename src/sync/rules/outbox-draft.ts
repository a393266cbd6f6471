/** What the rules have in common: how rows of the outbox depend on each other, and how a change is put together. */
import { largestNOf } from '../change-rules.js'
import { reasonOf, type RefusalFacts } from './refusal-texts.js'
import type { EndedCommit, OutboxRow, SyncChange, SyncSnapshot, SyncState } from '../sync-state.js'

/** Decided again this often in a row, a commit is refused. */
const maxTries = 10

/** Ids of events that the commit was decided on. */
export function needsOf({ requires = [], expect, condition }: OutboxRow): string[] {
  const ids = new Set(requires)
  for (const [, id] of expect) if (id !== null) ids.add(id)
  for (const id of condition?.except ?? []) ids.add(id)
  return [...ids]
}

/** The ids of its events, today's and those of earlier versions. */
export const idsOf = ({ events, had = [] }: OutboxRow): string[] => [...events.map(({ id }) => id), ...had]

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

/** Collects what one transaction changes in the outbox. */
export class OutboxDraft {
  readonly #snapshot: SyncSnapshot
  readonly #rows: Map<number, OutboxRow>
  readonly #put = new Map<number, OutboxRow>()
  readonly #removed = new Set<number>()
  readonly #ended: EndedCommit[] = []

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
    return Math.max(largestNOf(this.#snapshot), ...this.#put.keys()) + 1
  }

  put(row: OutboxRow): void {
    this.#rows.set(row.n, row)
    this.#put.set(row.n, row)
    this.#removed.delete(row.n)
  }

  /** `ended`: what became of it, unless it is in the outbox under another number. */
  remove(row: OutboxRow, ended?: Omit<EndedCommit, 'name'>): void {
    this.#rows.delete(row.n)
    this.#put.delete(row.n)
    this.#removed.add(row.n)
    if (ended !== undefined) this.#ended.push({ name: row.name, ...ended })
  }

  /** Final: kept for the app. What was decided on it follows. */
  refuse(row: OutboxRow, code: string, message: string, facts: RefusalFacts = {}): void {
    const refused = { code, message: message === '' ? code : message, ...facts }
    this.put({ ...without(row, 'undecided', 'behind', 'accepted', 'cancel', 'renew'), refused })
    this.follow(row)
  }

  /** The server's final no to this version: decided again if a command made it, else refused. */
  decideAgain(row: OutboxRow, code: 'conflict' | 'blocked', facts: RefusalFacts): void {
    if (row.cancel === true) {
      this.remove(row, { status: 'discarded' })
      return this.follow(row)
    }
    if (row.command === undefined || row.healed === true || (row.tries ?? 0) >= maxTries)
      return this.refuse(row, code, reasonOf(code, facts), facts)
    this.put({ ...without(row, 'behind', 'accepted', 'renew'), undecided: { code, ...facts } })
    this.follow(row)
  }

  /**
   * Commits that were decided on one that is gone: decided again, or refused. Without asking the server, which may have
   * been restored and know nothing of it.
   */
  follow(gone: OutboxRow): void {
    const ids = new Set(idsOf(gone))
    for (const row of this.rows) {
      if (row.n === gone.n || !isPending(row)) continue
      const need = needsOf(row).find((id) => ids.has(id))
      // May have changed meanwhile: it follows another one, too.
      if (need !== undefined && this.get(row.n) === row) this.decideAgain(row, 'blocked', { id: need })
    }
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
      state: { ...next, largestN: Math.max(next.largestN, ...removed, ...this.#put.keys()) },
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
