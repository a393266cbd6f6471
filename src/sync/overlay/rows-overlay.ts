/**
 * The own events of a device, laid over the rows of one read model: for everything in this context that reads it. Nothing
 * of it is stored.
 *
 * A moment is one state of the stored rows together with one state of the outbox. Each has a stamp of its own, so that an
 * answer never holds parts of two. Rows are always read first, and the copy of the outbox after that.
 */
import { StorageBusyError } from '../../errors.js'
import type { RecordedEvent } from '../../events/event.js'
import { randomId } from '../../events/identifier.js'
import { hintPause } from '../../log/head-watch.js'
import { compileFilter, type CompiledFilter } from '../../log/filter.js'
import { say } from '../../messages.js'
import type { Clock } from '../../platform/clock.js'
import { listenerSet } from '../../platform/listeners.js'
import { optional } from '../../platform/promises.js'
import type { Hint, Signals } from '../../platform/signals.js'
import { readBlockedStreams } from '../../read-model/begin.js'
import type { Changes } from '../../read-model/changes.js'
import { unknownCommit, type CommittedHint } from '../../read-model/committed-hint.js'
import { projectionKey, type Projection } from '../../read-model/define.js'
import type { RowKey } from '../../read-model/keys.js'
import { isDrawn, seenIn, type Seen } from '../../read-model/stamps.js'
import { stampOf, type StateRow } from '../../read-model/state.js'
import type { Answers, TableQuery } from '../../read-model/storage.js'
import type { ShownState } from '../../reading/laid-over.js'
import type { ModelLookout } from '../../running/shared-storage.js'
import type { OutboxCopy, OutboxSource } from '../outbox-copy.js'
import { changedRows, type ChangedRows } from './changed-rows.js'
import type { AskedAgain, FoldReads } from './fold-reads.js'
import { askOver, type KnownRows, type LaidRows } from './merged.js'
import { OverlayChanges } from './overlay-changes.js'
import { OverlayWork } from './overlay-work.js'
import { confirmedEvents, pendingEvents, Versions, type OwnReadingParts } from './own-reading.js'
import { copyFor, mostConfirmed, planOf, type Plan } from './plan.js'

/** What overlays need of their store. */
export interface OverlayParts extends OwnReadingParts {
  readonly source: OutboxSource
  readonly signals: Pick<Signals, 'listen'>
}

/** How often own events are laid over again if the rows changed meanwhile. After that it waits for the next commit. */
const maxTries = 3
/** The same for a reader, which cannot wait for the next commit. */
const mostTries = 100
/** How long an append waits until live queries were notified of it, ms. What takes longer is notified later. */
const noticeTime = 200

/** What is laid over one state of the rows. */
interface Laid {
  readonly state: StateRow
  readonly seen: Seen
  /** The state is made of a hint: all in it but the position may be old. */
  readonly isGuess: boolean
  readonly plan: Plan
  /** The events of the log in the plan. */
  readonly confirmed: readonly Confirmed[]
  /** The ids of the events, in order. */
  readonly ids: readonly string[]
  readonly rows: LaidRows
  readonly known: KnownRows
  /** What made it, as long as more events can be applied to it. */
  readonly work: OverlayWork | undefined
  /** By the name of the commit: why an event of it is left out. */
  readonly unshown: ReadonlyMap<string, unknown>
  readonly moment: Seen
}

type Made = Pick<Laid, 'state' | 'isGuess' | 'plan' | 'confirmed' | 'ids'>

/** What was read in one transaction. */
interface Look extends Answers {
  /** What the last fold read, read again. */
  readonly again?: AskedAgain | undefined
}

/** Of an event what is remembered: its handler may change the rest. */
type Confirmed = Pick<RecordedEvent, 'id' | 'position' | 'stream'>

interface Known {
  readonly identity: string
  readonly events: Map<number, Confirmed | undefined>
}

const nothing: LaidRows = new Map()

export class RowsOverlay {
  /** What readers ask and follow. */
  readonly lookout: ModelLookout
  readonly #parts: OverlayParts
  readonly #plain: ModelLookout
  readonly #definition: Projection
  readonly #key: string
  readonly #clock: Clock
  readonly #filter: CompiledFilter
  readonly #versions: Versions
  readonly #listeners = listenerSet<[hint: Hint]>()
  /** Draws stamps that no other context draws. */
  readonly #name = randomId()
  #moments = 0
  #laid: Laid | undefined
  /** What the last fold read, also one that came to no end. */
  #reads: FoldReads | undefined
  #changes: OverlayChanges | undefined
  /** The moment that live queries were notified of last. */
  #notified: Seen | undefined
  /** Own events of the log that were read; nothing where they are not handled. */
  #read: Known = { identity: '', events: new Map() }
  #turn: Promise<unknown> = Promise.resolve()
  #stop: (() => void) | undefined
  /** The last hint of the projection, and the run that lays over its rows, if that has not begun. */
  #hint: CommittedHint | undefined
  #following: Promise<void> | undefined
  /** Hints that say nothing certain wait for the end of a pause, where one before was not true. */
  #cancelPause: (() => void) | undefined
  #isHinted = false

  constructor(parts: OverlayParts, plain: ModelLookout, definition: Projection, clock: Clock) {
    this.#parts = parts
    this.#plain = plain
    this.#definition = definition
    this.#key = projectionKey(definition)
    this.#clock = clock
    this.#filter = compileFilter(definition.filter)
    this.#versions = new Versions(parts)
    this.lookout = {
      storage: plain.storage,
      recent: {
        get readers() {
          return plain.recent.readers
        },
        set readers(count) {
          plain.recent.readers = count
        },
        answer: (asked, stamp) => this.#recent(asked, stamp),
        forget: () => plain.recent.forget(),
      },
      state: async () => (await this.#answer([])).state,
      queries: (asked, slot) => (slot === undefined ? this.#answer(asked) : plain.queries(asked, slot)),
      newest: () => this.#newest(),
      watch: (looked) => plain.watch((state) => looked(optional(this.#stateOver(state)))),
      listen: (listener) => this.#listen(listener),
    }
  }

  /** What is laid over now; while rows are known that it is not laid over yet, no answer is as new as those. */
  #newest(): number {
    const { seen } = this.#laid ?? {}
    const ahead = Math.max(this.#plain.newest(), this.#hint?.revision ?? 0) - (seen?.revision ?? Infinity)
    return ahead > 0 ? this.#moments + ahead / 2 ** 20 : (this.#laid?.moment.revision ?? 0)
  }

  /** Why views do not show an event of a pending commit. */
  unshown(commit: string): unknown {
    return this.#laid?.unshown.get(commit)
  }

  async #stateOver(looked: Promise<StateRow>): Promise<StateRow> {
    const state = await looked
    return (await this.#layOver(state)) ? this.#shownState(state) : this.lookout.state()
  }

  /** Asks until rows, own events and results belong to one moment. @throws StorageBusyError if they never do */
  async #answer(asked: readonly TableQuery[]): Promise<Answers> {
    for (let tries = 1; tries <= mostTries; tries += 1) {
      const { rows, known } = this.#laid ?? { rows: nothing, known: nothing }
      const asking = askOver(this.#definition.tables, asked, rows, known)
      // Where rows moved, what own events read of them is of the same moment as what is asked.
      const { values, state, again } = await this.#look(asking.questions, tries > 1)
      if (!(await this.#layOver(state, again))) continue
      const laid = this.#laid as Laid
      const merged = asking.finish(values, laid.rows, laid.known)
      if (merged !== undefined)
        return { values: merged.values, state: { ...this.#shownState(state), pending: merged.pending } as ShownState }
    }
    throw new StorageBusyError(say`The rows of '${this.#key}' were others each time they were read.`)
  }

  /** The rows of this context's last commit, if nothing is laid over them. */
  #recent(asked: readonly TableQuery[], stamp: string): Answers | undefined {
    const laid = this.#laid
    if (laid === undefined || laid.ids.length > 0 || laid.moment.stamp !== stamp) return undefined
    const answers = this.#plain.recent.answer(asked, laid.seen.stamp)
    return answers && { values: answers.values, state: this.#shownState(answers.state) }
  }

  /** @param isMore with what the last fold read, which costs nothing where it read nothing */
  async #look(asked: readonly TableQuery[] = [], isMore = true): Promise<Look> {
    const known = this.#reads?.questions
    const questions = isMore || known?.length === 0 ? known : undefined
    const all = [...asked, ...(questions ?? [])]
    const { values, state } =
      all.length === 0
        ? { values: [], state: await this.#plain.state() }
        : await (asked.length === 0 ? this.#plain.storage : this.#plain).queries(all)
    return { values, state, again: questions && { questions, values: values.slice(asked.length) } }
  }

  /** The state as readers get it: with the stamp of the moment. */
  #shownState(state: StateRow): StateRow {
    const { stamp, revision } = (this.#laid as Laid).moment
    return { ...state, stamp: { id: stamp, revision, of: stampOf(state, false) } }
  }

  /** Lays the own events of now over rows in this state. Resolves with false if the rows changed since. */
  #layOver(state: StateRow, again?: AskedAgain): Promise<boolean> {
    return this.#inTurn(async () => {
      const isDone = await this.#lay({ state, again })
      if (isDone) this.#tell()
      return isDone
    })
  }

  /** One after the other. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(work, work)
    this.#turn = mine.catch(() => {})
    return mine
  }

  /** @param isKnown what this context knows of the outbox is enough: it is laid over because that changed, or the rows */
  async #lay({ state, again }: Omit<Look, 'values'>, { isKnown = false, isGuess = false } = {}): Promise<boolean> {
    const before = this.#laid
    const seen = seenIn(state)
    const isOld = before !== undefined && seen.stamp !== before.seen.stamp && seen.revision < before.seen.revision
    // It was asked for before what is laid over now; or the read model was deleted, and begins again.
    if (isOld && seenIn(await this.#plain.state()).stamp !== seen.stamp) return false
    const copy = await copyFor(this.#parts.source, state, isKnown)
    const isSame = before !== undefined && before.seen.stamp === seen.stamp && !before.isGuess
    /** What can be continued. */
    const last = isSame && (before.work !== undefined || before.ids.length === 0) ? before : undefined
    const known = last?.state.position === state.position && last.state.log === state.log ? last.plan : undefined
    if (known?.copy === copy) return true
    const plan = await this.#planOf(copy, state, known)
    if (plan === undefined) return false
    const confirmed = await this.#confirmedOf(plan)
    const ids = [...confirmed.map(({ id }) => id), ...plan.pending.map(({ text }) => text.id)]
    const made = { state, isGuess, plan, confirmed, ids }
    if (ids.length === 0) return this.#made({ ...made, work: undefined })
    if (isGuess) return false
    const isMore = before?.work !== undefined && before.ids.every((id, at) => id === ids[at])
    if (isSame && isMore && before.ids.length === ids.length) {
      this.#laid = { ...before, state, plan, confirmed }
      return true
    }
    // The rows moved: what the last fold read of them must be read again first.
    const questions = this.#reads?.questions
    if (!isSame && questions !== undefined && again?.questions !== questions) return false
    const work = await this.#apply(made, isMore ? before : undefined, again)
    return work !== undefined && this.#made({ ...made, work })
  }

  async #planOf(copy: OutboxCopy, state: StateRow, before: Plan | undefined): Promise<Plan | undefined> {
    const blocked =
      state.holds === true && copy.outbox.length + copy.own.length > 0
        ? await readBlockedStreams(this.#plain.storage, state.shown)
        : undefined
    try {
      return planOf(copy, state, this.#filter, blocked, before)
    } catch (error) {
      // The copy is of another identity of the log than these rows, or older: the rows are read again.
      if (error instanceof RangeError) return undefined
      throw error
    }
  }

  /** The events of the log in a plan that the projection applies. */
  async #confirmedOf({ confirmed, copy, blocked }: Plan): Promise<readonly Confirmed[]> {
    const { identity } = copy.state
    if (this.#read.identity !== identity || this.#read.events.size > 2 * mostConfirmed)
      this.#read = { identity, events: new Map() }
    const { events } = this.#read
    const missing = confirmed.filter((position) => !events.has(position))
    const found = await confirmedEvents(this.#parts, missing, this.#definition.filter)
    for (const position of missing) events.set(position, found.get(position)?.event)
    return confirmed.flatMap((position) => {
      const event = events.get(position)
      return event === undefined || blocked?.has(event.stream) === true ? [] : [event]
    })
  }

  /** Applies the events of a plan that come after the last ones. Returns nothing if the rows moved meanwhile. */
  async #apply(made: Made, last: Laid | undefined, again?: AskedAgain): Promise<OverlayWork | undefined> {
    const { state, plan, confirmed } = made
    let isWhole = false
    let work: OverlayWork
    try {
      await this.#versions.at(plan)
      const followed = last && (await this.#followed(made, last, again))
      work = followed ?? this.#begun(state, again)
      isWhole = await work.apply(this.#events(plan, confirmed, followed === undefined ? 0 : (last as Laid).ids.length))
    } finally {
      // More cannot be applied to it.
      if (!isWhole) this.#spoil()
    }
    if (isWhole && this.#versions.isLacking) return this.#apply(made, undefined, again)
    return isWhole ? work : undefined
  }

  #begun(state: StateRow, again: AskedAgain | undefined): OverlayWork {
    const isNow = (then: StateRow) => this.#isNow(then)
    const work = new OverlayWork(this.#definition, this.#plain.storage, state, this.#clock, isNow, again)
    this.#versions.forget()
    this.#reads = work.reads
    return work
  }

  /** What made the last rows, if it would make the same ones of the rows as they are now. */
  async #followed({ state, plan, confirmed }: Made, last: Laid, again?: AskedAgain): Promise<OverlayWork | undefined> {
    const { work, seen } = last
    if (work === undefined || seen.stamp === seenIn(state).stamp) return work
    const isStill =
      again !== undefined &&
      work.isOf(state, confirmed.length) &&
      last.plan.copy.state.identity === plan.copy.state.identity &&
      this.#versions.areStill &&
      (await work.reads.areStill(again, this.#clock))
    if (isStill) work.moveTo(state)
    return isStill ? work : undefined
  }

  /** Whether the stored rows are still in this state. */
  async #isNow(state: StateRow): Promise<boolean> {
    return seenIn(await this.#plain.state()).stamp === seenIn(state).stamp
  }

  /** The events of a plan from one of them on. */
  async *#events(plan: Plan, all: readonly Confirmed[], from: number) {
    const positions = all.slice(from).map(({ position }) => position)
    if (positions.length > 0)
      yield [...(await confirmedEvents(this.#parts, positions, this.#definition.filter)).values()]
    yield* pendingEvents(this.#parts, plan.pending.slice(Math.max(0, from - all.length)), this.#versions)
  }

  #spoil(): void {
    // It may have read rows of a later state.
    if (this.#laid?.work !== undefined) this.#laid = { ...this.#laid, known: nothing, work: undefined }
  }

  /** Shows what was made. Returns false if the rows moved meanwhile. */
  async #made({ state, isGuess, plan, confirmed, ids, work }: Made & Pick<Laid, 'work'>): Promise<boolean> {
    const before = this.#laid
    this.#reads = work?.reads
    const known = work?.reads.known ?? nothing
    const rows: LaidRows =
      work === undefined ? nothing : new Map([...work.rows].map(([table, changed]) => [table, new Map(changed)]))
    const isEmpty = rows.size === 0 && (before === undefined || before.rows.size === 0)
    // Where nothing was notified yet, it does not matter what changed.
    const changed = isEmpty || this.#changes === undefined ? undefined : await this.#changedBy(state, rows, known)
    // What is older than a hint must not be shown: live queries would be notified of that hint no more.
    if (changed === 'moved') {
      this.#spoil()
      return false
    }
    for (const [table, each] of changed ?? []) this.#changes?.changed(table, each)
    const seen = seenIn(state)
    const isSame = before?.seen.stamp === seen.stamp && (isEmpty || changed?.size === 0)
    const moment = isSame ? (before as Laid).moment : this.#nextMoment()
    const unshown = work?.unshown ?? new Map()
    this.#laid = { state, seen, isGuess, plan, confirmed, ids, rows, known, work, unshown, moment }
    this.#tell()
    return true
  }

  /** What readers see otherwise once these rows are laid over. `'moved'` if the stored rows changed meanwhile. */
  async #changedBy(state: StateRow, rows: LaidRows, known: KnownRows): Promise<ChangedRows | 'moved'> {
    let isMoved = false
    const read = async (table: string, keys: readonly RowKey[]) => {
      const asked: TableQuery = { table, query: { kind: 'many', keys } }
      const { values, state: now } = await this.#plain.storage.queries([asked], state.shown)
      isMoved ||= seenIn(now).stamp !== seenIn(state).stamp
      return values[0] as readonly unknown[]
    }
    const changed = await changedRows(this.#laid?.rows ?? nothing, rows, known, this.#clock, read)
    return isMoved ? 'moved' : changed
  }

  /** Notifies live queries of the moment that is shown, once it is known what changed. */
  #tell(): void {
    const laid = this.#laid
    if (laid === undefined || this.#stop === undefined) return
    if (this.#changes === undefined || this.#notified === undefined) {
      this.#changes = new OverlayChanges(this.#definition.tables, laid.seen)
      this.#notified = laid.moment
      return
    }
    if (laid.moment === this.#notified) return
    const changed = this.#changes.all(laid.seen, laid.rows)
    if (changed !== undefined) this.#say(changed, this.#notified, laid.moment, laid.state.position)
  }

  #say(changes: Exclude<Changes, 'unknown'>, from: Seen, to: Seen, position: number): void {
    this.#notified = to
    this.#listeners.tell({
      kind: 'committed',
      projection: this.#key,
      position,
      revision: to.revision,
      from: from.stamp,
      to: to.stamp,
      changes: () => changes,
    })
  }

  #nextMoment(): Seen {
    this.#moments += 1
    return { stamp: `${this.#name}~${this.#moments}`, revision: this.#moments }
  }

  #listen(listener: (hint: Hint) => void): () => void {
    const remove = this.#listeners.add(listener)
    this.#stop ??= this.#start()
    return () => {
      if (!remove() || this.#listeners.size > 0) return
      this.#stop?.()
      this.#stop = this.#changes = this.#notified = undefined
    }
  }

  #start(): () => void {
    const stops = [
      this.#plain.listen((hint) => {
        if (hint.kind === 'committed' && hint.projection === this.#key) this.#committed(hint)
      }),
      this.#parts.source.subscribe(() => this.#noticed()),
    ]
    return () => {
      for (const stop of stops) stop()
      this.#cancelPause?.()
      this.#cancelPause = undefined
    }
  }

  /** The projection moved, or any script of the origin says so. */
  #committed(hint: CommittedHint): void {
    const [laid, changes, notified] = [this.#laid, this.#changes, this.#notified]
    // Nothing was read yet: the look that this causes begins with what is stored then.
    if (laid === undefined || changes === undefined || notified === undefined)
      return this.#listeners.tell(unknownCommit(this.#key, hint.position))
    const kind = changes.take(hint)
    // Queries that read rows which are shown as they are stored run immediately, others once it was laid over again. That
    // takes no time where nothing is laid over.
    if (kind === 'known' && laid.seen.stamp !== hint.to && laid.ids.length > 0)
      this.#say(changes.stored(laid.rows), notified, this.#nextMoment(), hint.position)
    if (kind === 'nothing') this.#tell()
    else if (kind === 'known' || this.#cancelPause === undefined) void this.#follow(hint)
    else this.#isHinted = true
  }

  /** Lays over the rows that a hint is about. Calls share a run that has not begun. */
  #follow(hint: CommittedHint): Promise<void> {
    this.#hint = hint
    return (this.#following ??= this.#inTurn(() => {
      this.#following = undefined
      return this.#layOverHinted(this.#hint as CommittedHint)
    })
      // What cannot be read now is noticed with the next look.
      .catch(() => {}))
  }

  async #layOverHinted({ from, to, revision, position }: CommittedHint): Promise<void> {
    const [laid, changes] = [this.#laid, this.#changes]
    const taken = changes?.taken
    // The usual case: nothing is laid over, and nothing is to be. The hint says what a look at the state would.
    if (laid !== undefined && laid.ids.length === 0 && laid.seen.stamp === from && isDrawn(to)) {
      const { stamp: _, ...rest } = { ...laid.state, position }
      const guess: StateRow = { ...rest, stamp: { id: to, revision, of: stampOf(rest, false) } }
      await this.#lay({ state: guess }, { isKnown: true, isGuess: true })
    }
    for (let tries = 1; tries <= maxTries && this.#laid?.seen.stamp !== to; tries += 1)
      if (await this.#lay(await this.#look(), { isKnown: true })) break
    // It was not true. Others like it are looked into once in a while.
    if (this.#laid?.seen.stamp === laid?.seen.stamp && laid !== undefined && changes?.taken === taken) {
      changes?.trust()
      this.#pause()
    }
    this.#tell()
  }

  #pause(): void {
    this.#cancelPause ??= this.#clock.schedule(hintPause, () => {
      this.#cancelPause = undefined
      if (this.#isHinted && this.#hint !== undefined) void this.#follow(this.#hint)
      this.#isHinted = false
    })
  }

  /** The outbox is another one. Resolves once live queries know, or after a short while. */
  #noticed(): Promise<void> {
    const noticed = this.#inTurn(async () => {
      for (let tries = 1; tries <= maxTries && this.#laid !== undefined; tries += 1) {
        const { state, isGuess } = this.#laid
        // A guess is enough where nothing is laid over.
        const again = tries > 1
        const now = again ? await this.#look() : { state }
        if (await this.#lay(now, { isKnown: true, isGuess: isGuess && !again })) break
      }
    }).catch(() => {})
    return new Promise((resolve) => {
      const cancel = this.#clock.schedule(noticeTime, resolve)
      void noticed.then(() => {
        cancel()
        resolve()
      })
    })
  }
}
