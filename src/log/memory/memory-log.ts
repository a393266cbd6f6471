/**
 * The log in memory: the same rules as on IndexedDB, for Node, edge runtimes and tests. Nothing survives the process.
 */
import { LogInconsistentError } from '../../errors.js'
import { say } from '../../messages.js'
import type { CatalogueCore } from '../../events/catalogue-core.js'
import type { EventShape } from '../../events/event.js'
import { streamName } from '../../events/names.js'
import { Slices } from '../../platform/slices.js'
import { adoptedError } from '../adopted-error.js'
import { decideAppend, versionsOf } from '../append-rules.js'
import type { Codec } from '../encode.js'
import { BackwardScan } from '../backward-scan.js'
import type { AppendOptions, AppendResult, PageRequest, ReadAllOptions, ReadStreamOptions } from '../event-store.js'
import { scanFor } from '../page-scan.js'
import {
  finishPage,
  finishStream,
  type CollectedPage,
  type EventPages,
  type FoundEvents,
  type PageOptions,
} from '../pages.js'
import type { KnownEvents, PreparedAppend } from '../prepared-append.js'
import { rowText, type EventText, type StoredEvent } from '../record/record-text.js'
import { idKey, type CommitRecord } from '../record/record.js'

/** The clock is asked after every 64th event. */
const stride = 64

const nothingBroken: FoundEvents['broken'] = new Map()

export class MemoryLog {
  readonly #context: { catalogue: CatalogueCore; codec: Codec | undefined }
  /** Each event as JSON text, so that no reader can change what another one sees. */
  readonly #events: string[] = []
  readonly #streams = new Map<string, number[]>()
  readonly #ids = new Map<string, number>()
  /** First position of each commit. */
  readonly #commits: number[] = []
  /** The name of the synced store that adopts it, or did. */
  adopter: string | undefined
  /** Of a synced store: what was taken back, by the identity that the log had. */
  readonly attic = new Map<string, ReturnType<MemoryLog['recorded']>>()
  #isClosed = false
  #appending = 0
  /** What is done as soon as no append is under way. */
  readonly #atRest: (() => void)[] = []

  constructor(context: { catalogue: CatalogueCore; codec: Codec | undefined }) {
    this.#context = context
  }

  /**
   * Calls must not overlap: the store queues them. Pauses between many events, so that the page can respond; readers
   * see all of them together.
   */
  async append(wanted: PreparedAppend, _options: AppendOptions): Promise<AppendResult> {
    if (this.#isClosed) throw adoptedError(this.adopter as string)
    this.#appending += 1
    try {
      return await this.#append(wanted)
    } finally {
      this.#appending -= 1
      // Synchronously: the next append has not begun.
      for (const act of this.#atRest.splice(0)) act()
    }
  }

  async #append(wanted: PreparedAppend): Promise<AppendResult> {
    const slices = new Slices()
    const head = this.#events.length
    const versionOf = (stream: string) => this.versionOf(stream)
    const decision = decideAppend(wanted, {
      head,
      known: this.#known(wanted),
      versionOf,
      isPlain: this.#context.codec === undefined,
      firstMatch: () => this.#firstMatch(wanted),
    })
    if ('result' in decision) return decision.result
    const { events, expected, imported } = decision.store
    const texts: string[] = []
    const streams = new Map<string, number[]>()
    for (const event of events) {
      let positions = streams.get(event.stream)
      if (positions === undefined) streams.set(event.stream, (positions = []))
      const position = head + texts.push(rowText(event, versionOf(event.stream) + positions.length + 1))
      positions.push(position)
      this.#ids.set(event.id, position)
      if (texts.length % stride === 0) await slices.turn()
    }
    // Synchronously: no reader sees a part of it.
    for (const [index, text] of texts.entries()) {
      if (index === 0 || imported?.starts.has(index) === true) this.#commits.push(head + index + 1)
      this.#events.push(text)
    }
    for (const [stream, positions] of streams) {
      const all = this.#streams.get(stream) ?? []
      for (const position of positions) all.push(position)
      this.#streams.set(stream, all)
    }
    const versions = versionsOf(expected, versionOf)
    return { position: this.#events.length, firstPosition: head + 1, versions, duplicate: false }
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /**
   * From here on no append begins, if it ends there and none is under way. Returns where it ends if it is closed.
   */
  closeAt(head: number): number | undefined {
    const { length } = this.#events
    this.#isClosed ||= this.#appending === 0 && head === length
    return this.#isClosed ? length : undefined
  }

  /**
   * From here on no append begins, wherever it ends: the one that is under way is waited for, and others are not let in
   * before it is closed.
   *
   * @param check looks at the log before it is closed; nothing is closed if it throws
   */
  async closeAtRest(check: () => void): Promise<number> {
    if (this.#appending > 0)
      return new Promise((resolve, reject) =>
        this.#atRest.push(() => void this.closeAtRest(check).then(resolve, reject)),
      )
    if (!this.#isClosed) check()
    this.#isClosed = true
    return this.#events.length
  }

  /** Adds events of another log as they are recorded there, synchronously and unchecked. */
  addRecorded(events: readonly EventText[], starts: ReadonlySet<number>): void {
    for (const [index, event] of events.entries()) {
      const { stream, id } = event
      let positions = this.#streams.get(stream)
      if (positions === undefined) this.#streams.set(stream, (positions = []))
      const position = this.#events.push(rowText(event, positions.length + 1))
      positions.push(position)
      this.#ids.set(id, position)
      if (starts.has(index)) this.#commits.push(position)
    }
  }

  /**
   * Removes the events behind a position.
   * @throws LogInconsistentError if no commit ends there: nothing was removed
   */
  takeBack(upTo: number): void {
    const commits = this.#commits
    if (upTo >= this.#events.length) return
    if (commits[this.#commitOf(upTo + 1)] !== upTo + 1)
      throw new LogInconsistentError(upTo, say`No commit ends at position ${upTo}.`, 'not-written')
    for (let position = this.#events.length; position > upTo; position -= 1) {
      const { stream, id } = this.eventAt(position)
      this.#events.pop()
      this.#streams.get(stream)?.pop()
      if (this.#ids.get(id) === position) this.#ids.delete(id)
    }
    while ((commits.at(-1) ?? 0) > upTo) commits.pop()
  }

  /** The events behind a position as they are stored, and the positions among them at which a commit begins. */
  recorded(after: number, limit: number): { events: StoredEvent[]; starts: ReadonlySet<number> } {
    const end = Math.min(this.#events.length, after + limit)
    const events: StoredEvent[] = []
    for (let position = after + 1; position <= end; position += 1) events.push(this.eventAt(position))
    const starts = new Set<number>()
    for (let index = this.#commitOf(after + 1); (this.#commits[index] ?? Infinity) <= end; index += 1)
      if ((this.#commits[index] as number) > after) starts.add(this.#commits[index] as number)
    return { events, starts }
  }

  /** The position of the event of that id. */
  positionOf(id: string): number | undefined {
    return this.#ids.get(id)
  }

  /** The position of the last event of a stream. */
  lastOf(stream: string): number | undefined {
    return this.#streams.get(stream)?.at(-1)
  }

  /** The version of a stream, 0 for an unknown one. */
  versionOf(stream: string): number {
    return this.#streams.get(stream)?.length ?? 0
  }

  get length(): number {
    return this.#events.length
  }

  /** The stored events that have a given id of the append. */
  #known({ events }: PreparedAppend): KnownEvents {
    const known = new Map<string, StoredEvent>()
    for (const { id, idGiven } of events) {
      const position = idGiven ? this.#ids.get(id) : undefined
      if (position !== undefined) known.set(id, this.eventAt(position))
    }
    return known
  }

  #firstMatch({ condition }: PreparedAppend): number | undefined {
    for (let position = (condition?.after ?? 0) + 1; position <= this.#events.length; position += 1)
      if (condition?.filter.matches(this.eventAt(position)) === true) return position
    return undefined
  }

  async readPage<E extends EventShape>(request: PageRequest, options: PageOptions = {}): Promise<CollectedPage<E>> {
    const { signal } = request
    const scan = scanFor(request, options.before)
    const head = this.#events.length
    while (!scan.isFull && scan.scannedTo < head) scan.takeEvent(this.eventAt(scan.scannedTo + 1))
    return finishPage<E>(scan, scan.scannedTo, head, this.#context, { ...options, signal })
  }

  async *readStream<E extends EventShape>(
    name: string,
    { after = 0, before = Infinity, limit = Infinity, direction, signal }: ReadStreamOptions = {},
  ): EventPages<E> {
    const positions = this.#streams.get(streamName(name))?.slice(after, Math.max(after, before - 1)) ?? []
    if (direction === 'backwards') positions.reverse()
    signal?.throwIfAborted()
    const found = positions.slice(0, limit).map((position) => this.eventAt(position))
    yield* finishStream<E>({ found, broken: nothingBroken }, this.#context, signal)
  }

  /** The events of the log from the last one on, in pages. */
  async *readBackwards<E extends EventShape>(options: ReadAllOptions): EventPages<E> {
    const slices = new Slices()
    const scan = new BackwardScan(options)
    scan.before = Math.min(scan.before, this.#events.length + 1)
    while (!scan.isDone) {
      const { before, wanted } = scan
      scan.begun = true
      while (!scan.isDone && before - scan.before < wanted) scan.takeEvent(this.eventAt(scan.before - 1))
      yield* finishStream<E>(scan.take(), this.#context, options.signal)
      await slices.turn()
    }
  }

  async head(): Promise<number> {
    return this.#events.length
  }

  async streamVersion(name: string): Promise<number> {
    return this.versionOf(streamName(name))
  }

  /** The commits as the records that IndexedDB would keep, from the one that holds a position on. */
  async records(from: number, limit: number): Promise<readonly CommitRecord[]> {
    if (from > this.#events.length) return []
    const begin = this.#commitOf(from)
    return this.#commits.slice(begin, begin + limit).map((at, index) => {
      const next = this.#commits[begin + index + 1] ?? this.#events.length + 1
      const events = this.#events.slice(at - 1, next - 1)
      const stored = events.map((_, offset) => this.eventAt(at + offset))
      return {
        at,
        n: events.length,
        commits: [at],
        events: `[${events.join(',')}]`,
        heads: [...new Map(stored.map(({ stream, version }) => [stream, version]))],
        ids: [...new Set(stored.map(({ id }) => idKey(id)))],
      }
    })
  }

  /** The index of the commit that a position belongs to. */
  #commitOf(position: number): number {
    let [begin, end] = [0, this.#commits.length]
    while (end - begin > 1) {
      const middle = (begin + end) >> 1
      if ((this.#commits[middle] as number) <= position) begin = middle
      else end = middle
    }
    return begin
  }

  eventAt(position: number): StoredEvent {
    const event = JSON.parse(this.#events[position - 1] as string) as StoredEvent
    event.position = position
    return event
  }
}
