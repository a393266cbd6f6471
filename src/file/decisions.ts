/** What was decided and is not in the file yet, and the view of the log that a decision has. */
import { Buffer } from 'node:buffer'
import { InvalidArgumentError } from '../errors.js'
import { say } from '../messages.js'
import { assertCommitFits } from '../server/commit-fits.js'
import type { LogDecision, LoggedCommit, LoggedEvent } from '../server/log-store.js'
import type { FinalVerdict } from '../wire/protocol.js'
import { mostEvents, verdictKey } from './log-index.js'
import { commitText, verdictText } from './file-records.js'

/** Commits and verdicts that lie over what is below. */
export class Layer {
  head: number
  chain: string
  readonly commits: LoggedCommit[] = []
  readonly ids = new Map<string, LoggedEvent>()
  readonly streams = new Map<string, LoggedEvent>()
  readonly verdicts = new Map<string, FinalVerdict>()
  readonly records: Buffer[] = []
  bytes = 0

  constructor({ head, chain }: { readonly head: number; readonly chain: string }) {
    this.head = head
    this.chain = chain
  }

  get isEmpty(): boolean {
    return this.records.length === 0
  }

  addCommit(commit: LoggedCommit, record: Buffer): void {
    this.#addRecord(record)
    this.commits.push(commit)
    for (const event of commit.events) {
      this.ids.set(event.id, event)
      this.streams.set(event.stream, event)
      this.head = event.position
    }
    this.chain = commit.chain
  }

  addVerdict(author: string, ids: readonly string[], verdict: FinalVerdict, record: Buffer): void {
    this.#addRecord(record)
    for (const id of ids) this.verdicts.set(verdictKey(author, id), verdict)
  }

  /** Takes over what lies on it. */
  take(upper: Layer): void {
    for (const record of upper.records) this.#addRecord(record)
    this.commits.push(...upper.commits)
    for (const [id, event] of upper.ids) this.ids.set(id, event)
    for (const [stream, event] of upper.streams) this.streams.set(stream, event)
    for (const [key, verdict] of upper.verdicts) this.verdicts.set(key, verdict)
    this.head = upper.head
    this.chain = upper.chain
  }

  #addRecord(record: Buffer): void {
    this.records.push(record)
    this.bytes += record.length
  }
}

/** The file, for what no layer knows. */
export interface StoredLog {
  /** Nothing is returned where no look at the file is needed. */
  eventById(id: string): Promise<LoggedEvent | undefined> | undefined
  lastOf(stream: string): Promise<LoggedEvent | undefined> | undefined
  verdictOn(author: string, id: string): Promise<FinalVerdict | undefined> | undefined
  /** Events behind a position, page by page. */
  after(position: number): AsyncIterable<LoggedEvent>
}

export class Decision implements LogDecision {
  /** What is added here. */
  readonly added: Layer
  readonly epoch: string
  /** From the newest to the oldest, this one's first. */
  readonly #layers: readonly Layer[]
  readonly #stored: StoredLog
  readonly #now: () => number
  readonly #lastKnown = new Map<string, LoggedEvent>()
  /** Ids that the file does not have: nothing else is decided meanwhile. */
  readonly #absent = new Set<string>()
  #isOver = false

  /** @param below from the newest to the oldest; what is decided meanwhile is not among them */
  constructor(
    epoch: string,
    below: readonly Layer[],
    end: { readonly head: number; readonly chain: string },
    stored: StoredLog,
    now: () => number,
  ) {
    this.epoch = epoch
    this.added = new Layer(end)
    this.#layers = [this.added, ...below]
    this.#stored = stored
    this.#now = now
  }

  get head(): number {
    return this.added.head
  }

  get chain(): string {
    return this.added.chain
  }

  async find(ids: readonly string[]): Promise<ReadonlyMap<string, LoggedEvent>> {
    this.#assertOpen()
    const found = await this.#all(
      ids,
      (layer, id) => layer.ids.get(id),
      (id) => (this.#absent.has(id) ? undefined : this.#stored.eventById(id)),
    )
    for (const id of ids) if (!found.has(id)) this.#absent.add(id)
    return found
  }

  async last(streams: readonly string[]): Promise<ReadonlyMap<string, LoggedEvent>> {
    this.#assertOpen()
    const found = await this.#all(
      streams,
      (layer, stream) => layer.streams.get(stream) ?? this.#lastKnown.get(stream),
      (stream) => this.#stored.lastOf(stream),
    )
    for (const [stream, event] of found) this.#lastKnown.set(stream, event)
    return found
  }

  async verdicts(author: string, ids: readonly string[]): Promise<ReadonlyMap<string, FinalVerdict>> {
    this.#assertOpen()
    return this.#all(
      ids,
      (layer, id) => layer.verdicts.get(verdictKey(author, id)),
      (id) => this.#stored.verdictOn(author, id),
    )
  }

  async *after(position: number): AsyncGenerator<LoggedEvent> {
    this.#assertOpen()
    let done = position
    for await (const event of this.#stored.after(position)) {
      yield event
      done = event.position
    }
    // A layer may have come into the file meanwhile.
    for (const { events } of this.#layers.toReversed().flatMap(({ commits }) => commits)) {
      for (const event of events.filter((each) => each.position > done)) yield event
    }
  }

  async add(commit: LoggedCommit): Promise<void> {
    this.#assertOpen()
    const { events } = commit
    if (this.head + events.length > mostEvents)
      throw new InvalidArgumentError('commit.events', say`would be more than ${mostEvents} events in one log.`)
    await assertCommitFits(this, events)
    this.#assertOpen()
    this.added.addCommit(commit, Buffer.from(commitText(commit)))
  }

  async keep(author: string, ids: readonly string[], verdict: FinalVerdict): Promise<void> {
    this.#assertOpen()
    this.added.addVerdict(author, ids, verdict, Buffer.from(verdictText(author, ids, verdict, this.#now())))
  }

  /** Nothing can be added any more. */
  end(): void {
    this.#isOver = true
  }

  async #all<T>(
    names: readonly string[],
    inLayer: (layer: Layer, name: string) => T | undefined,
    inFile: (name: string) => Promise<T | undefined> | undefined,
  ): Promise<ReadonlyMap<string, T>> {
    const looks: Promise<void>[] = []
    const values: (T | undefined)[] = names.map((name, index) => {
      for (const layer of this.#layers) {
        const value = inLayer(layer, name)
        if (value !== undefined) return value
      }
      // Most of what is pushed is new: no promise for each of its ids.
      const look = inFile(name)?.then((stored) => void (values[index] = stored))
      if (look !== undefined) looks.push(look)
      return undefined
    })
    await Promise.all(looks)
    const found = new Map<string, T>()
    for (const [index, value] of values.entries()) if (value !== undefined) found.set(names[index] as string, value)
    return found
  }

  #assertOpen(): void {
    if (this.#isOver) throw new InvalidArgumentError('log', say`is used after its decision has ended.`)
  }
}
