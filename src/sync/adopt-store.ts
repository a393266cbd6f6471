/** Adopting: what a local store holds becomes what this device did in a synced one. */
import { InvalidArgumentError } from '../errors.js'
import type { EventShape } from '../events/event.js'
import type { ExpectedVersion } from '../errors.js'
import type { ReadOptions } from '../log/event-store.js'
import { internalsOf, storeInternals, type StoreInternals, type TidemarkStore } from '../log/open.js'
import type { PreparedAppend } from '../log/prepared-append.js'
import { weightOf, type EventText } from '../log/record/record-text.js'
import { inspectionOf } from '../maintenance/inspection.js'
import type { LogInspection } from '../maintenance/log-inspection.js'
import { say } from '../messages.js'
import { maxEntries } from '../wire/protocol.js'
import { assertSignal, onlyKnown } from '../platform/arguments.js'
import { nextTask } from '../platform/tasks.js'
import { AdoptingAsIs } from './adopt-as-is.js'
import { adoptedLog } from './adopted-log.js'
import type { AdoptedLog } from './adoption-mark.js'
import type { ConfirmedFacts } from './device-storage.js'
import { assertAllFit, localCommits, twiceUsed } from './local-commits.js'
import type { OutboxCopy } from './outbox-copy.js'
import { adopted, adoptedUpTo, foundAsIs, ownOf, type LocalCommit, type LocalLog } from './rules/adopted.js'
import { isSameRecordAt } from './rules/same-event.js'
import { isSynced, syncPartsOf, type SyncParts } from './sync-parts.js'
import type { OwnRow } from './sync-state.js'
import type { SyncedStore } from './synced-store.js'

/** What `adoptStore` did, in commits of the local store. */
export interface AdoptResult {
  /** They are in the log of the synced store: the server has them. */
  readonly confirmed: number
  /** They are in its outbox, and are sent to the server. */
  readonly pending: number
}

/** One transaction, and one request, has at most this many commits … */
const mostCommits = maxEntries
/** … of about this many events … */
const mostEvents = 2000
/** … and characters. */
const mostCharacters = 512 * 1024
/** How often it is tried to close a local log whose end was adopted. Then it is closed wherever it ends. */
const mostTries = 3

/**
 * Takes a local store over into a synced one, for an app that began without an account: every commit of the local store
 * becomes a commit of the synced store, in its order, with its ids, times, schema versions and `meta`. Data is taken as it
 * is stored, so both stores need the same `codec`.
 *
 * If the log of the server is empty, it becomes what the local log is, at the same positions, and so does the log of the
 * synced store. If it is not, or the server cannot be reached, commits become pending ones, which are sent like others.
 *
 * What a browser stored so far is never stored twice: after a crash, or an error, call it again. At the end the local
 * store is closed for writing, in every tab: an append to it then rejects with `UnsupportedFormatError`. It can be read,
 * and stays until the app calls `deleteEventStore`. A local store is adopted by one synced store only. A call for one
 * that is adopted does nothing, and resolves with zeros.
 *
 * @param local of `openEventStore`. Appends of other tabs during the call are taken over as well
 * @param synced of `openSyncedStore`. Append to it when the promise has resolved, or what is appended comes before
 * commits of the local store
 * @param options a `signal`, which ends the call with its reason, between two transactions
 *
 * @throws InvalidArgumentError for other kinds of stores, for a local store on this device and a synced one in memory,
 * and for a local store that another synced store adopts
 * @throws InvalidEventError if a commit or an event is larger than every server takes, or uses an id of another commit in
 * the outbox. The message names the position in the local log
 * @throws EventUnreadableError, LogInconsistentError if the local log cannot be read. Like what is too large, this is
 * noticed before anything is stored
 * @throws ClosedError, StorageBusyError, StorageFullError, StorageLostError, StorageFailedError: call it again
 *
 * @example
 * const local = await openEventStore({ name: 'shop', events })
 * const synced = await openSyncedStore({ name: 'shop/anna', events, url })
 * const { pending } = await adoptStore(local, synced)
 */
export async function adoptStore<E extends EventShape = EventShape>(
  local: TidemarkStore<E>,
  synced: SyncedStore<E>,
  options: ReadOptions = {},
): Promise<AdoptResult> {
  return adopt(local, synced, options)
}

/** @param impatience the server is not waited for any longer */
export async function adopt(
  local: Pick<TidemarkStore, 'name' | 'head'>,
  synced: object,
  options: ReadOptions,
  impatience?: AbortSignal,
): Promise<AdoptResult> {
  const from = localPartsOf(local)
  const to = syncPartsOf(synced)
  onlyKnown(options, ['signal'])
  const { signal } = options
  assertSignal(signal)
  if (from.medium === 'indexeddb' && internalsOf(synced)?.medium === 'memory')
    throw new InvalidArgumentError(
      'synced',
      say`is in memory, and the local store '${local.name}' is on this device: its events would be lost with the page. Adopt it into a store of tidemark/sync, or leave 'adopt' out here.`,
    )
  const check = () => {
    signal?.throwIfAborted()
    from.assertOpen()
    to.assertOpen()
  }
  check()
  return new Adoption(local, from, to, check, new AdoptingAsIs(to, [signal, impatience, to.closed])).run()
}

function localPartsOf(local: object): StoreInternals {
  if (isSynced(local))
    throw new InvalidArgumentError('local', say`is a synced store: only a store of openEventStore can be adopted.`)
  return storeInternals(local)
}

type LocalStore = Pick<TidemarkStore, 'name' | 'head'>

class Adoption {
  readonly #local: LocalStore
  readonly #from: StoreInternals
  readonly #to: SyncParts
  /** Throws once it is over. */
  readonly #check: () => void
  readonly #inspection: LogInspection
  readonly #marks: AdoptedLog
  readonly #asIs: AdoptingAsIs
  #log = ''
  readonly #result = { confirmed: 0, pending: 0 }

  constructor(local: LocalStore, from: StoreInternals, to: SyncParts, check: () => void, asIs: AdoptingAsIs) {
    this.#local = local
    this.#from = from
    this.#to = to
    this.#check = check
    this.#asIs = asIs
    this.#inspection = inspectionOf(local.name, from)
    this.#marks = adoptedLog(local.name, from)
  }

  async run(): Promise<AdoptResult> {
    const { adopter, isClosed } = await this.#marks.mark()
    if (adopter !== undefined) this.#assertMine(adopter)
    this.#log = await this.#from.logId()
    let upTo = await this.#upTo()
    let head = await this.#local.head()
    if (isClosed && upTo === head) return this.#result
    // All of it is looked at before anything is stored.
    for await (const _ of localCommits(this.#inspection, upTo, head)) this.#check()
    this.#assertMine(await this.#marks.claim(this.#to.name))
    for (let tries = 1; ; tries += 1) {
      await this.#take(upTo, head)
      this.#check()
      // What another tab appended is too much for an append to wait for, and too little to be closed at last.
      const end = await this.#marks.closeAt(head, this.#to.name, tries > mostTries ? assertAllFit : undefined)
      if (end === head) return this.#result
      // Another tab appended meanwhile, or is about to.
      await nextTask()
      upTo = await this.#upTo()
      head = end ?? (await this.#local.head())
    }
  }

  #assertMine(adopter: string): void {
    if (adopter !== this.#to.name)
      throw new InvalidArgumentError(
        'local',
        say`is adopted by another synced store, '${adopter}'. To have its events in this one as well, export them, and append them here.`,
      )
  }

  async #upTo(): Promise<number> {
    return adoptedUpTo((await this.#to.outbox.fresh()).state, this.#log)
  }

  /** Takes over what is behind a position, in transactions of many commits. */
  async #take(after: number, head: number): Promise<void> {
    const local = { log: this.#log, head }
    let commits: LocalCommit[] = []
    let [events, characters] = [0, 0]
    let end = after
    const store = async () => {
      this.#check()
      await this.#store(local, commits, end)
      commits = []
      events = characters = 0
    }
    for await (const commit of localCommits(this.#inspection, after, head)) {
      commits.push(commit)
      events += commit.events.length
      end = endOf(commit)
      for (const event of commit.events) characters += weightOf(event)
      if (commits.length >= mostCommits || events >= mostEvents || characters >= mostCharacters) await store()
    }
    if (commits.length > 0) await store()
  }

  /** One transaction, again if something else was stored meanwhile. */
  async #store(local: LocalLog, all: readonly LocalCommit[], upTo: number): Promise<void> {
    const { outbox } = this.#to
    for (;;) {
      this.#check()
      const snapshot = await outbox.fresh()
      const there = adoptedUpTo(snapshot.state, local.log)
      // Another context adopts as well.
      const commits = all.filter(({ at }) => at > there)
      if (commits.length === 0) return
      const { at: cursor } = snapshot.state.cursor
      if (!this.#asIs.isOver && cursor <= there) {
        const taken = await this.#asIs.take(snapshot, local, commits, upTo)
        if (taken === 'taken') this.#result.confirmed += commits.length
        if (taken === 'taken') return
        continue
      }
      const facts = await outbox.facts(lookedUp(commits))
      if (facts.turn !== snapshot.state.turn) continue
      const found = this.#asIs.isOver ? [] : sameIn(commits, facts, cursor)
      if (found.length > 0) await this.#confirm(snapshot, local, found, facts)
      else {
        this.#asIs.isOver = true
        if (await this.#enqueue(snapshot, local, commits, facts, upTo)) return
      }
    }
  }

  /** Notes commits that are in the log, at their positions. */
  async #confirm(
    snapshot: OutboxCopy,
    local: LocalLog,
    commits: readonly LocalCommit[],
    facts: ConfirmedFacts,
  ): Promise<void> {
    const end = endOf(commits.at(-1) as LocalCommit)
    const own = await this.#ownRows(commits, facts)
    if (own === undefined) return
    const changed = await this.#to.outbox.change(snapshot, (now) => foundAsIs(now, local, end, own))
    if (changed.kind === 'stored') this.#result.confirmed += commits.length
  }

  /** The rows that mark commits in the log as those of this device; nothing if something else was stored meanwhile. */
  async #ownRows(
    commits: readonly LocalCommit[],
    { known, turn }: ConfirmedFacts,
  ): Promise<readonly OwnRow[] | undefined> {
    if (commits.length === 0) return []
    const placeOf = (id: string) => known.get(id)?.position as number
    const first = Math.min(...commits.map(({ events }) => placeOf((events[0] as EventText).id)))
    const { own, state } = await this.#to.storage.loadOwn(first - 1)
    return state.turn === turn ? ownOf(commits, placeOf, own) : undefined
  }

  /** Puts commits into the outbox. Resolves with false if something else was stored meanwhile. */
  async #enqueue(
    snapshot: OutboxCopy,
    local: LocalLog,
    commits: readonly LocalCommit[],
    facts: ConfirmedFacts,
    upTo: number,
  ): Promise<boolean> {
    const { outbox } = this.#to
    const { ids } = outbox.indexOf(snapshot)
    const unconfirmed = commits.filter((commit) => !isConfirmed(commit, facts))
    const fresh = unconfirmed.filter((commit) => !isWaiting(commit, ids))
    const own = await this.#ownRows(
      commits.filter((commit) => isConfirmed(commit, facts)),
      facts,
    )
    if (own === undefined) return false
    const changed = await outbox.change(snapshot, (now) => adopted(now, local, fresh, upTo, own), true)
    if (changed.kind !== 'stored') return false
    this.#result.confirmed += commits.length - unconfirmed.length
    this.#result.pending += unconfirmed.length
    return true
  }
}

const endOf = ({ at, events }: LocalCommit): number => at + events.length - 1

/** The commits as an append whose ids are looked up. */
function lookedUp(commits: readonly LocalCommit[]): PreparedAppend {
  return {
    events: commits.flatMap(({ events }) => events),
    expected: new Map<string, ExpectedVersion>(),
    condition: undefined,
    pathOf: String,
  }
}

const isConfirmed = ({ events }: LocalCommit, { known }: ConfirmedFacts): boolean =>
  events.every((event) => isSameRecordAt(known.get(event.id), event))

/** The commits up to the cursor, if all of them are in the log where they are in the local one. */
function sameIn(commits: readonly LocalCommit[], facts: ConfirmedFacts, cursor: number): LocalCommit[] {
  const begun = commits.filter(({ at }) => at <= cursor)
  const isSame = (commit: LocalCommit) =>
    endOf(commit) <= cursor &&
    isConfirmed(commit, facts) &&
    commit.events.every(({ id }, index) => facts.known.get(id)?.position === commit.at + index)
  return begun.every(isSame) ? begun : []
}

/** @throws InvalidEventError if only a part of it is there */
function isWaiting({ at, events }: LocalCommit, ids: { has(id: string): boolean }): boolean {
  const there = events.filter(({ id }) => ids.has(id))
  if (there.length > 0 && there.length < events.length) throw twiceUsed(at, (there[0] as { id: string }).id)
  return there.length > 0
}
