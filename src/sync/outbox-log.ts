/** The log of a synced store: confirmed events as they are, and an outbox that appends go to. */
import { hasCode } from '../errors.js'
import { streamName } from '../events/names.js'
import type { CatalogueCore } from '../events/catalogue.js'
import type { EventShape, RecordedEvent } from '../events/event.js'
import { decidedOn } from '../log/decided-on.js'
import type { Codec } from '../log/encode.js'
import type {
  AppendOptions,
  AppendResult,
  Durability,
  PageRequest,
  ReadAllOptions,
  ReadStreamOptions,
} from '../log/event-store.js'
import { compileFilter } from '../log/filter.js'
import { finishPage, finishStream, type CollectedPage, type EventPages, type PageOptions } from '../log/pages.js'
import type { PreparedAppend } from '../log/prepared-append.js'
import type { EventText } from '../log/record/record-text.js'
import type { Log } from '../log/store.js'
import { wallTime, type Clock } from '../platform/clock.js'
import type { CommandRow } from './define-commands.js'
import { decideOwn, type OwnVerdict } from './decide-own.js'
import type { ConfirmedFacts } from './device-storage.js'
import { assertFits } from './limits.js'
import type { OutboxCopy } from './outbox-copy.js'
import type { OutboxKeeper } from './outbox-keeper.js'
import { isShown } from './overlay/in-rows.js'
import type { OwnCommits } from './own-commits.js'
import { storedOf } from './stored-of.js'
import type { OutboxRow, PulledEvents, SyncSnapshot, SyncState } from './sync-state.js'

export interface OutboxLogOptions {
  /** Of confirmed events. */
  readonly log: Log
  readonly keeper: OutboxKeeper
  readonly own: OwnCommits
  readonly catalogue: CatalogueCore
  readonly codec: Codec | undefined
  readonly durability: Durability
  readonly clock: Clock
  /** What this context remembers of the log may not be true any more. */
  forget(): void
  /** What is kept of a command that was made by name. */
  commandRow(command: object | undefined): Promise<CommandRow | undefined>
}

/** Options of `readStream` that asked for confirmed events alone. */
export const confirmedOnly = new WeakSet<ReadStreamOptions>()

/** The most events of a pulled page that are kept in memory for those who follow. */
const shortPage = 16

const nothingBroken: ReadonlyMap<number, string> = new Map()

export class OutboxLog implements Log {
  readonly #options: OutboxLogOptions
  /** What the last look at the log found; true as long as the turn is the same. */
  #facts: ConfirmedFacts | undefined
  /** The identity of the log that those who read page after page have records of. */
  readonly #readAhead = new WeakMap<object, string | undefined>()
  /** The page that this context added to the log last, if it is short: those who follow the log need not read it. */
  #pulled: (PulledEvents & Pick<SyncState, 'identity'>) | undefined
  /** How many pages were read, and how many it were when {@link known} last read the stored state. */
  #reads = { all: 0, looked: 0 }
  /** What appends wait for, if they do. */
  heldUntil: (() => Promise<unknown>) | undefined

  constructor(options: OutboxLogOptions) {
    this.#options = options
  }

  async append(prepared: PreparedAppend, options: AppendOptions): Promise<AppendResult> {
    assertFits(prepared)
    await this.heldUntil?.()
    const { keeper, codec, durability, clock, own } = this.#options
    const decided = decidedOn.get(options)
    const command = await this.#options.commandRow(decided?.command)
    const time = wallTime(clock)
    // Only a fresh copy may refuse an append: with an older one it is tried again.
    let isFresh = keeper.current === undefined
    let snapshot = keeper.current ?? (await keeper.fresh())
    for (;;) {
      let verdict: OwnVerdict | undefined
      try {
        const facts = await this.#factsAt(snapshot, prepared)
        if (facts !== undefined)
          verdict = decideOwn(prepared, {
            snapshot,
            index: keeper.indexOf(snapshot),
            facts,
            isPlain: codec === undefined,
            last: decided?.last,
            command,
            // Of a copy: see `ownCondition`.
            filter: options.condition?.failIfEventsMatch,
            time,
          })
      } catch (error) {
        if (isFresh) throw error
      }
      if (verdict?.kind === 'row') {
        const { row, result } = verdict
        if ((await keeper.append(row, snapshot.state, options.durability ?? durability)) === 'stored')
          return { ...result, commit: own.of(row) } as AppendResult
      } else if (verdict !== undefined && isFresh) return this.#known(verdict, prepared)
      snapshot = await keeper.fresh()
      isFresh = true
    }
  }

  async #known(verdict: Exclude<OwnVerdict, { kind: 'row' }>, { events }: PreparedAppend): Promise<AppendResult> {
    const { own } = this.#options
    const { result } = verdict
    const commit =
      verdict.kind === 'known'
        ? own.of(verdict.row)
        : result.duplicate
          ? await own.find((events[0] as EventText).id)
          : undefined
    return { ...result, ...(commit !== undefined && { commit }) } as AppendResult
  }

  /** What the append needs of the log, as it is in the turn of the snapshot; nothing if that is over. */
  async #factsAt({ state }: OutboxCopy, prepared: PreparedAppend): Promise<ConfirmedFacts | undefined> {
    const kept = this.#facts
    if (kept?.turn === state.turn && isEnough(kept, prepared)) return kept
    const facts = await this.#options.keeper.facts(prepared)
    if (facts.turn !== state.turn) return undefined
    const before = kept?.turn === state.turn ? kept : undefined
    this.#facts = {
      ...facts,
      known: new Map(),
      match: undefined,
      ids: facts.ids.with(before?.ids),
      ends: new Map([...(before?.ends ?? []), ...facts.ends]),
      looked: new Set([...(before?.looked ?? []), ...prepared.expected.keys()]),
    }
    return facts
  }

  async readPage<E extends EventShape>(request: PageRequest<E>, options?: PageOptions): Promise<CollectedPage<E>> {
    const ahead = options?.ahead
    const short = options?.own === true && this.#pulledPage(request, options)
    if (short) return short
    if (ahead !== undefined) {
      // Who reads page after page must not go from one log to another: runs end once this context knows of it.
      // What this context pulled itself is there. A run that finds nothing is to find out whether that is true.
      const { keeper } = this.#options
      const known = keeper.current?.state
      const { identity } = known && (request.after ?? 0) < known.cursor.at ? known : (await keeper.fresh()).state
      if (this.#readAhead.get(ahead) !== identity) ahead.forget()
      this.#readAhead.set(ahead, identity)
    }
    try {
      return await this.#read<E>(request, options)
    } catch (error) {
      if (!hasCode(error, 'log-inconsistent')) throw error
      // It may have been taken back while it was read, also by another context.
      await this.#options.keeper.fresh().catch(() => {})
      this.#options.forget()
      ahead?.forget()
      return this.#read<E>(request, options)
    }
  }

  /** This context added these to the log. */
  pulled({ identity }: SyncState, added: PulledEvents): void {
    this.#pulled = added.events.length > shortPage ? undefined : { identity, ...added }
  }

  async #read<E extends EventShape>(request: PageRequest<E>, options?: PageOptions): Promise<CollectedPage<E>> {
    const { after = 0 } = request
    let scannedTo = Infinity
    try {
      const page = await this.#options.log.readPage<E>(request, options)
      ;({ scannedTo } = page)
      return page
    } finally {
      // One that finds nothing leads to nothing. What fails may be of another log, too.
      if (scannedTo > after) this.#reads.all += 1
    }
  }

  /** A copy of the outbox that is no older than any page that was read here. A page that this context pulled needs no look. */
  async known(): Promise<OutboxCopy> {
    const { keeper } = this.#options
    const reads = this.#reads
    const { all } = reads
    if (keeper.current !== undefined && reads.looked === all) return keeper.current
    const copy = await keeper.fresh()
    reads.looked = Math.max(reads.looked, all)
    return copy
  }

  #pulledPage<E extends EventShape>(
    { after = 0, limit, filter = {}, signal }: PageRequest<E>,
    options: PageOptions,
  ): Promise<CollectedPage<E>> | undefined {
    const { keeper, catalogue, codec } = this.#options
    const { identity, at, events, versions } = this.#pulled ?? { at: 0, events: [], versions: [] }
    const head = after + events.length
    const state = keeper.current?.state
    if (at !== after + 1 || state?.identity !== identity || state?.cursor.at !== head) return undefined
    if (events.length > limit || options.ahead?.follows(after) === true) return undefined
    const { matches } = compileFilter(filter)
    const found = events
      .map((event, index) => storedOf(event, versions[index] as number, at + index))
      .filter((event) => matches(event))
    return finishPage<E>({ found, broken: nothingBroken }, head, head, { catalogue, codec }, { ...options, signal })
  }

  readBackwards<E extends EventShape>(options: ReadAllOptions<E>): EventPages<E> {
    return this.#options.log.readBackwards<E>(options)
  }

  async head(): Promise<number> {
    // A run that begins asks for it: by then this context knows whether the log was taken back.
    const { keeper, log, forget } = this.#options
    await keeper.fresh().catch((error: unknown) => {
      // Confirmed events can be read, and exported, from a store whose outbox was damaged, or is that of a newer build.
      if (!hasCode(error, 'storage-damaged') && !hasCode(error, 'unsupported-format')) throw error
      forget()
    })
    return log.head()
  }

  readStream<E extends EventShape>(stream: string, options: ReadStreamOptions = {}): EventPages<E> {
    if (confirmedOnly.has(options)) return this.#options.log.readStream<E>(stream, options)
    return options.direction === 'backwards'
      ? this.#backwards<E>(streamName(stream), options)
      : this.#forwards<E>(streamName(stream), options)
  }

  async streamVersion(name: string): Promise<number> {
    const stream = streamName(name)
    const copy = await this.#options.keeper.fresh()
    const pending = pendingOf(copy.outbox, stream)
    const confirmed = await this.#options.log.streamVersion(stream)
    if (pending.length === 0) return confirmed
    // As it was at the moment of the copy: some of what was pending may be confirmed by now.
    return (await this.#versionAt(stream, copy.state.cursor.at, confirmed)) + pending.length
  }

  /** The version of a stream at a position of the log. */
  async #versionAt(stream: string, position: number, version: number): Promise<number> {
    for await (const events of this.#options.log.readStream(stream, { direction: 'backwards', before: version + 1 }))
      for (const event of events) if (event.position <= position) return event.version
    return 0
  }

  async *#forwards<E extends EventShape>(stream: string, options: ReadStreamOptions): EventPages<E> {
    options.signal?.throwIfAborted()
    yield* this.streamAt<E>(stream, options, await this.#options.keeper.fresh())
  }

  /** Confirmed events up to the cursor of a copy, and what is pending in it: as all of it was at that moment. */
  async *streamAt<E extends EventShape>(stream: string, options: ReadStreamOptions, copy: SyncSnapshot): EventPages<E> {
    const { after = 0, before = Infinity, limit = Infinity, signal } = options
    const { at } = copy.state.cursor
    const pending = pendingOf(copy.outbox, stream)
    let left = limit
    let version = after
    let isRead = false
    for await (const events of this.#options.log.readStream<E>(stream, options)) {
      const known = events.filter(({ position }) => position <= at)
      if (known.length > 0) {
        version = (known.at(-1) as RecordedEvent).version
        left -= known.length
        yield known
      }
      if (known.length < events.length) {
        isRead = true
        break
      }
    }
    if (pending.length === 0 || left <= 0 || version + 1 >= before) return
    // Nothing was found behind `after`: it may be beyond what is confirmed.
    const confirmed = version > after || isRead ? version : await this.#confirmedVersion(stream, at)
    yield* this.#pending<E>(pending, confirmed, copy, { after, before, limit: left, signal })
  }

  async #confirmedVersion(stream: string, position: number): Promise<number> {
    return this.#versionAt(stream, position, await this.#options.log.streamVersion(stream))
  }

  async *#backwards<E extends EventShape>(stream: string, options: ReadStreamOptions): EventPages<E> {
    const { after = 0, before = Infinity, limit = Infinity, signal } = options
    signal?.throwIfAborted()
    const copy = await this.#options.keeper.fresh()
    const { at } = copy.state.cursor
    const pending = pendingOf(copy.outbox, stream)
    let left = limit
    if (pending.length > 0) {
      const confirmed = await this.#confirmedVersion(stream, at)
      for await (const events of this.#pending<E>(pending, confirmed, copy, {
        after,
        before,
        signal,
        backwards: true,
      })) {
        const some = events.slice(0, left)
        left -= some.length
        yield some
        if (left <= 0) return
      }
    }
    let next = before
    let isShort = false
    for await (const events of this.#options.log.readStream<E>(stream, { ...options, limit: left })) {
      const known = events.filter(({ position }) => position <= at)
      isShort ||= known.length < events.length
      left -= known.length
      next = (known.at(-1) ?? { version: next }).version
      if (known.length > 0) yield known
    }
    // What was stored meanwhile took a part of the limit.
    if (!isShort || left <= 0 || limit === Infinity) return
    const upTo = Math.min(next, (await this.#confirmedVersion(stream, at)) + 1)
    if (upTo > after + 1) yield* this.#options.log.readStream<E>(stream, { ...options, before: upTo, limit: left })
  }

  /** Pending events of a stream, with the versions and positions that they would have now. */
  async *#pending<E extends EventShape>(
    pending: readonly PendingEvent[],
    confirmed: number,
    { state }: SyncSnapshot,
    span: ReadStreamOptions & { readonly backwards?: boolean },
  ): EventPages<E> {
    const { after = 0, before = Infinity, limit = Infinity, signal, backwards = false } = span
    const found = pending
      .map(({ event, place }, index) => storedOf(event, confirmed + index + 1, state.cursor.at + place))
      .filter(({ version }) => version > after && version < before)
      .slice(0, limit)
    if (backwards) found.reverse()
    const decoding = { catalogue: this.#options.catalogue, codec: this.#options.codec }
    for await (const events of finishStream<E>({ found, broken: nothingBroken }, decoding, signal))
      yield events.map((event) => ({ ...event, pending: true }))
  }
}

interface PendingEvent {
  readonly event: EventText
  /** Which of all pending events it is, from 1. */
  readonly place: number
}

/** The pending events of a stream, in their order. */
function pendingOf(outbox: readonly OutboxRow[], stream: string): PendingEvent[] {
  const found: PendingEvent[] = []
  let place = 0
  for (const row of outbox) {
    if (!isShown(row)) continue
    for (const event of row.events) {
      place += 1
      if (event.stream === stream) found.push({ event, place })
    }
  }
  return found
}

/** Whether an append can be decided without another look at the log. */
function isEnough({ ids, looked }: ConfirmedFacts, { expected, events, condition }: PreparedAppend): boolean {
  if (condition !== undefined) return false
  for (const stream of expected.keys()) if (looked?.has(stream) !== true) return false
  return events.every(({ id, idGiven }) => !idGiven || ids.isNew(id))
}
