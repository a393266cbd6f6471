/** The log in memory: the same rules as on IndexedDB, for Node, edge runtimes and tests. Nothing survives the process. */
import { ConditionFailedError } from '../../errors.js'
import type { CatalogueCore } from '../../events/catalogue.js'
import type { EventShape, RecordedEvent } from '../../events/event.js'
import { streamName } from '../../events/names.js'
import { Slices } from '../../platform/slices.js'
import type { AppendOptions, AppendResult, EventFilter, PageRequest, ReadStreamOptions } from '../event-store.js'
import { compileFilter } from '../filter.js'
import { finishPage, finishStream, maxScan, type CollectedPage, type PageReadOptions } from '../pages.js'
import { findConflict, wholeNumber, type Codec, type PreparedAppend } from '../prepare.js'
import { rowText, type StoredEvent } from '../record/record-text.js'
import { idKey, type CommitRecord } from '../record/record.js'
import { assertSameEvents, duplicateResult } from '../repeated.js'

/** The clock is asked after every 64th event. */
const stride = 64

const nothingBroken: ReadonlyMap<number, string> = new Map()

export class MemoryLog {
  readonly #context: { catalogue: CatalogueCore; codec: Codec | undefined }
  /** Each event as JSON text, so that no reader can change what another one sees. */
  readonly #events: string[] = []
  readonly #streams = new Map<string, number[]>()
  readonly #ids = new Map<string, number>()
  /** First position of each commit. */
  readonly #commits: number[] = []

  constructor(context: { catalogue: CatalogueCore; codec: Codec | undefined }) {
    this.#context = context
  }

  /** Calls must not overlap: the store queues them. Gives the page its turn between many events; readers see all of them at once. */
  async append(wanted: PreparedAppend, _options: AppendOptions): Promise<AppendResult> {
    const slices = new Slices()
    const versionOf = (stream: string) => this.#streams.get(stream)?.length ?? 0
    const known = new Map<string, StoredEvent>()
    for (const { id, idGiven } of wanted.events) {
      const position = idGiven ? this.#ids.get(id) : undefined
      if (position !== undefined) known.set(id, this.#at(position))
    }
    assertSameEvents(wanted, known, this.#context.codec === undefined)
    const prepared = wanted.imported?.without(known, versionOf) ?? wanted
    const duplicate = prepared === wanted ? duplicateResult(prepared, known, versionOf) : undefined
    if (duplicate !== undefined) return duplicate
    const conflict = findConflict(prepared.expected, versionOf)
    if (conflict !== undefined) throw conflict
    const { condition } = prepared
    if (condition !== undefined) {
      for (let position = condition.after + 1; position <= this.#events.length; position += 1) {
        if (condition.filter.matches(this.#at(position))) throw new ConditionFailedError(position)
      }
    }
    const before = this.#events.length
    const texts: string[] = []
    const streams = new Map<string, number[]>()
    for (const event of prepared.events) {
      let positions = streams.get(event.stream)
      if (positions === undefined) streams.set(event.stream, (positions = []))
      const position = before + texts.push(rowText(event, versionOf(event.stream) + positions.length + 1))
      positions.push(position)
      this.#ids.set(event.id, position)
      if (texts.length % stride === 0) await slices.turn()
    }
    // In one go: no reader sees a part of it.
    for (let index = 0; index < texts.length; index += 1) {
      if (index === 0 || prepared.imported?.starts.has(index) === true) this.#commits.push(before + index + 1)
      this.#events.push(texts[index] as string)
    }
    const versions: Record<string, number> = Object.create(null)
    for (const stream of prepared.expected.keys()) {
      const positions = this.#streams.get(stream) ?? []
      for (const position of streams.get(stream) ?? []) positions.push(position)
      if (positions.length > 0) this.#streams.set(stream, positions)
      versions[stream] = positions.length
    }
    return {
      position: this.#events.length,
      firstPosition: before + (texts.length > 0 ? 1 : 0),
      versions,
      duplicate: false,
    }
  }

  async readEvents<E extends EventShape>(
    filter: EventFilter,
    page: PageRequest,
    options: PageReadOptions = {},
  ): Promise<CollectedPage<E>> {
    const compiled = compileFilter(filter)
    const after = page.after === undefined ? 0 : wholeNumber(page.after, 'page.after')
    const limit = wholeNumber(page.limit, 'page.limit')
    options.signal?.throwIfAborted()
    const head = this.#events.length
    const found: StoredEvent[] = []
    let scannedTo = after
    while (found.length < limit && scannedTo < head && scannedTo - after < maxScan) {
      scannedTo += 1
      const event = this.#at(scannedTo)
      if (compiled.all || compiled.matches(event)) found.push(event)
    }
    return finishPage<E>(found, nothingBroken, scannedTo, head, this.#context, options)
  }

  async *readStream<E extends EventShape>(
    name: string,
    options: ReadStreamOptions = {},
  ): AsyncGenerator<readonly RecordedEvent<E>[], void, undefined> {
    const stream = streamName(name)
    const after = options.after === undefined ? 0 : wholeNumber(options.after, 'after')
    const limit = options.limit === undefined ? Infinity : wholeNumber(options.limit, 'limit')
    const positions = this.#streams.get(stream)?.slice(after, limit === Infinity ? undefined : after + limit) ?? []
    options.signal?.throwIfAborted()
    yield* finishStream<E>(
      positions.map((position) => this.#at(position)),
      nothingBroken,
      this.#context,
      options.signal,
    )
  }

  async head(): Promise<number> {
    return this.#events.length
  }

  async streamVersion(name: string): Promise<number> {
    return this.#streams.get(streamName(name))?.length ?? 0
  }

  /** The commits as the records that IndexedDB would keep, from the one that holds a position on. */
  async records(from: number, limit: number): Promise<readonly CommitRecord[]> {
    if (from > this.#events.length) return []
    let [begin, end] = [0, this.#commits.length]
    while (end - begin > 1) {
      const middle = (begin + end) >> 1
      if ((this.#commits[middle] as number) <= from) begin = middle
      else end = middle
    }
    return this.#commits.slice(begin, begin + limit).map((at, index) => {
      const next = this.#commits[begin + index + 1] ?? this.#events.length + 1
      const events = this.#events.slice(at - 1, next - 1)
      const stored = events.map((_, offset) => this.#at(at + offset))
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

  #at(position: number): StoredEvent {
    const event = JSON.parse(this.#events[position - 1] as string) as StoredEvent
    event.position = position
    return event
  }
}
