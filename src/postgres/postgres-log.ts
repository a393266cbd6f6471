/** The log of an event store over the log of a server: what it appends, devices pull, and what they push, it reads. */
import { LogInconsistentError } from '../errors.js'
import type { EventShape } from '../events/event.js'
import { streamName } from '../events/names.js'
import { decideAppend, versionsOf } from '../log/append-rules.js'
import { BackwardScan } from '../log/backward-scan.js'
import type { AppendOptions, AppendResult, PageRequest, ReadAllOptions, ReadStreamOptions } from '../log/event-store.js'
import { maxScan, scanFor } from '../log/page-scan.js'
import {
  finishPage,
  finishStream,
  type CollectedPage,
  type Decoding,
  type EventPages,
  type PageOptions,
} from '../log/pages.js'
import type { KnownEvents, PreparedAppend } from '../log/prepared-append.js'
import type { EventText, StoredEvent } from '../log/record/record-text.js'
import type { Log } from '../log/store.js'
import { say } from '../messages.js'
import { abortable } from '../platform/promises.js'
import { chainBehind } from '../server/chain.js'
import { lineOf } from '../server/line-of.js'
import type { LogDecision, LoggedCommit, LoggedEvent, LogStore } from '../server/log-store.js'
import { storedEvent, type StoredCommits } from './stored-commits.js'

/** How many characters one statement should read: what is longer takes several. */
const mostCharacters = 4 * 1024 * 1024
/** The fewest events that are asked for, however long they are. */
const fewest = 16

export class PostgresLog implements Log {
  readonly #store: LogStore
  readonly #commits: StoredCommits
  readonly #context: Decoding
  /** About how long an event is, by those that were read last. */
  #characters = 256

  constructor(store: LogStore, commits: StoredCommits, context: Decoding) {
    this.#store = store
    this.#commits = commits
    this.#context = context
  }

  async append(prepared: PreparedAppend, _options: AppendOptions): Promise<AppendResult> {
    const seen = await this.#lookedThrough(prepared)
    return this.#store.decide((log) => this.#decided(prepared, log, seen))
  }

  async readPage<E extends EventShape>(request: PageRequest, options: PageOptions = {}): Promise<CollectedPage<E>> {
    const { signal } = request
    const scan = scanFor(request, options.before)
    let head: number | undefined
    while (!scan.isFull && (head === undefined || scan.scannedTo < head)) {
      const most = Math.ceil(Math.min((scan.limit - scan.found.length) / scan.share, maxScan, this.#most))
      // An abort does not wait for the server, which may wait for a lock. The statement ends by itself.
      const page = await abortable(this.#commits.from(scan.scannedTo + 1, most), signal)
      signal?.throwIfAborted()
      head = page.head
      this.#characters = page.characters
      for (const event of page.events) {
        if (scan.isFull) break
        if (event.position <= scan.scannedTo) continue
        if (event.position !== scan.scannedTo + 1) throw hole(scan.scannedTo + 1)
        scan.takeEvent(event)
      }
      if (page.events.length === 0 && scan.scannedTo < head) throw hole(scan.scannedTo + 1)
    }
    head ??= await abortable(this.head(), signal)
    return finishPage<E>(scan, scan.scannedTo, head, this.#context, { ...options, signal })
  }

  async *readStream<E extends EventShape>(
    name: string,
    { after = 0, before = Infinity, limit = Infinity, direction = 'forwards', signal }: ReadStreamOptions = {},
  ): EventPages<E> {
    const stream = streamName(name)
    const isBack = direction === 'backwards'
    let [low, high, left] = [after, before, limit]
    // Backwards it begins with the last version there is.
    let isFirst = isBack
    while (left > 0 && low < high - 1) {
      signal?.throwIfAborted()
      const most = Math.min(left, this.#most)
      const asked = this.#commits.ofStream(stream, { after: low, before: high, direction, most })
      const events = await abortable(asked, signal)
      const found = events.filter(({ version }) => version > low && version < high).slice(0, left)
      if (found.length === 0) return
      const expected = isFirst ? found[0]?.version : isBack ? high - 1 : low + 1
      isFirst = false
      for (const [at, { version, position }] of found.entries())
        if (version !== (expected as number) + (isBack ? -at : at)) throw missingVersion(stream, version, position)
      left -= found.length
      const last = (found.at(-1) as StoredEvent).version
      if (isBack) high = last
      else low = last
      yield* finishStream<E>({ found, broken: new Map() }, this.#context, signal)
    }
  }

  async *readBackwards<E extends EventShape>(options: ReadAllOptions<E>): EventPages<E> {
    const scan = new BackwardScan(options as ReadAllOptions)
    scan.before = Math.min(scan.before, (await abortable(this.head(), options.signal)) + 1)
    while (!scan.isDone) {
      options.signal?.throwIfAborted()
      const { before } = scan
      const asked = this.#commits.upTo(before - 1, Math.ceil(Math.min(scan.wanted, this.#most)))
      const events = await abortable(asked, options.signal)
      scan.begun = true
      for (const event of events) {
        if (event.position >= before || scan.isDone) continue
        if (event.position !== scan.before - 1) throw hole(scan.before - 1)
        scan.takeEvent(event)
      }
      if (scan.before === before) throw hole(before - 1)
      yield* finishStream<E>(scan.take(), this.#context, options.signal)
    }
  }

  head(): Promise<number> {
    return this.#store.head()
  }

  streamVersion(name: string): Promise<number> {
    return this.#commits.versionOf(streamName(name))
  }

  /** How many events one statement should read. */
  get #most(): number {
    return Math.max(fewest, mostCharacters / this.#characters)
  }

  /** Looks for what the condition forbids as far as the log goes, before others have to wait for it. */
  async #lookedThrough({ condition }: PreparedAppend): Promise<Looked> {
    if (condition === undefined) return { to: 0 }
    const head = await this.head()
    let { after } = condition
    while (after < head) {
      const { events } = await this.#commits.from(after + 1, Math.ceil(this.#most))
      for (const event of events) {
        if (event.position <= after) continue
        if (condition.filter.matches(event)) return { to: event.position, match: event.position }
        after = event.position
      }
      if (events.length === 0) throw hole(after + 1)
    }
    return { to: after }
  }

  async #decided(wanted: PreparedAppend, log: LogDecision, seen: Looked): Promise<AppendResult> {
    const { head } = log
    const given = wanted.events.flatMap(({ id, idGiven }) => (idGiven ? [id] : []))
    const known: KnownEvents = new Map(
      [...(given.length === 0 ? [] : await log.find(given))].map(([id, event]) => [id, storedEvent(event)]),
    )
    const last = await log.last([...wanted.expected.keys()])
    const versionOf = (stream: string) => last.get(stream)?.version ?? 0
    const match = seen.match ?? (await firstMatch(wanted, log, seen.to))
    const decision = decideAppend(wanted, {
      head,
      known,
      versionOf,
      isPlain: this.#context.codec === undefined,
      firstMatch: () => match,
    })
    if ('result' in decision) return decision.result
    const { events, expected, imported } = decision.store
    const versions = new Map([...expected.keys()].map((stream) => [stream, versionOf(stream)]))
    let { chain } = log
    let index = 0
    for (const commit of commitsOf(events, imported?.starts, head, versions)) {
      chain = chainBehind(
        chain,
        commit.map(({ line }) => line),
      )
      // What moves here keeps who made it and when: N134.
      const origin = imported?.origins?.get(index)
      index += commit.length
      await log.add({ author: '', ...origin, events: commit, chain } satisfies LoggedCommit)
    }
    return {
      position: head + events.length,
      firstPosition: head + 1,
      versions: versionsOf(expected, (stream) => versions.get(stream) ?? 0),
      duplicate: false,
    }
  }
}

/** How far the log was looked through for a condition, and the first event that it forbids. */
interface Looked {
  readonly to: number
  readonly match?: number
}

async function firstMatch({ condition }: PreparedAppend, log: LogDecision, from: number): Promise<number | undefined> {
  if (condition === undefined || log.head <= from) return undefined
  for await (const event of log.after(Math.max(from, condition.after)))
    if (condition.filter.matches(event)) return event.position
  return undefined
}

/** The events of an append as the log of a server has them, commit by commit. Raises the versions. */
function commitsOf(
  events: readonly EventText[],
  starts: ReadonlySet<number> | undefined,
  head: number,
  versions: Map<string, number>,
): LoggedEvent[][] {
  const commits: LoggedEvent[][] = []
  let first = 0
  for (const [index, event] of events.entries()) {
    const { id, stream, type } = event
    const position = head + index + 1
    if (index === 0 || starts?.has(index) === true) {
      commits.push([])
      first = position
    }
    const version = (versions.get(stream) ?? 0) + 1
    versions.set(stream, version)
    commits.at(-1)?.push({ position, id, stream, type, version, line: lineOf(event, position, first, version) })
  }
  return commits
}

const hole = (position: number) =>
  new LogInconsistentError(position, say`The log has no event at position ${position}, and events behind it.`)

const missingVersion = (stream: string, version: number, position: number) =>
  new LogInconsistentError(
    position,
    say`Stream '${stream}' has version ${version} at position ${position}, where another one comes next.`,
  )
