/** A server's log in memory: for tests and demos. What is in it ends with the process. */
import { InvalidArgumentError } from '../errors.js'
import { randomId } from '../events/identifier.js'
import { say } from '../messages.js'
import { listenerSet } from '../platform/listeners.js'
import { chainStart, type FinalVerdict } from '../wire/protocol.js'
import type { LogDecision, LoggedCommit, LoggedEvent, LogStore } from './log-store.js'

/** What {@link MemoryLogStore.snapshot} returns, for {@link MemoryLogStore.restore}. */
export interface LogBackup {
  readonly commits: readonly LoggedCommit[]
  /** Final verdicts by author and id. */
  readonly verdicts: ReadonlyMap<string, ReadonlyMap<string, FinalVerdict>>
}

/** A {@link LogStore} in memory that can lose what it knows, as a server that is restored from a backup does. */
export interface MemoryLogStore extends LogStore {
  /** All that is stored now. What is stored later does not change it. */
  snapshot(): LogBackup
  /**
   * Replaces everything by a backup, under a new epoch. A decision that is under way stores nothing, and rejects.
   *
   * @param options.sameEpoch keeps the epoch, as a server does that does not notice what happened to it. @default false
   */
  restore(backup: LogBackup, options?: { readonly sameEpoch?: boolean }): void
  /** Draws a new epoch, as a server does that was started again. Loses nothing. */
  renewEpoch(): void
}

/**
 * A log in memory.
 *
 * @example
 * const log = serverLog(memoryLogStore())
 *
 * @param options.log its id: 1 to 100 of the characters `A` to `Z`, `a` to `z`, `0` to `9`, `.`, `_` and `-`. @default a random one
 * @throws InvalidArgumentError for an id that cannot be one
 */
export function memoryLogStore(options: { readonly log?: string } = {}): MemoryLogStore {
  return new MemoryLog(options.log ?? randomId())
}

class MemoryLog implements MemoryLogStore {
  readonly #log: string
  readonly #moved = listenerSet<[head: number]>()
  #epoch = randomId()
  #content = new Content()
  /** Changes with each restore: what began before stores nothing. */
  #history = {}
  #last: Promise<unknown> = Promise.resolve()

  constructor(log: string) {
    if (!/^[\w.-]{1,100}$/.test(log))
      throw new InvalidArgumentError('log', say`must have 1 to 100 of the characters A-Z, a-z, 0-9, '.', '_' and '-'.`)
    this.#log = log
  }

  identity() {
    return Promise.resolve({ log: this.#log, epoch: this.#epoch })
  }

  head() {
    return Promise.resolve(this.#content.head)
  }

  chainAt(position: number) {
    return Promise.resolve(this.#content.chains.get(position))
  }

  read(after: number, limit: number) {
    return Promise.resolve(this.#content.read(after, limit))
  }

  decide<T>(work: (log: LogDecision) => Promise<T>): Promise<T> {
    const turn = this.#last.then(() => this.#decideNow(work))
    this.#last = turn.catch(() => {})
    return turn
  }

  async #decideNow<T>(work: (log: LogDecision) => Promise<T>): Promise<T> {
    const history = this.#history
    const decision = new Decision(this.#content, this.#epoch)
    const result = await work(decision)
    if (history !== this.#history) throw new Error(say`The log was restored from a backup meanwhile.`)
    const { head } = this.#content
    decision.commit()
    if (this.#content.head > head) this.#moved.tell(this.#content.head)
    return result
  }

  subscribe(listener: (head: number) => void): () => void {
    return this.#moved.add(listener)
  }

  close() {
    this.#moved.clear()
    return Promise.resolve()
  }

  snapshot(): LogBackup {
    return this.#content.copy()
  }

  restore(backup: LogBackup, options: { readonly sameEpoch?: boolean } = {}): void {
    this.#content = new Content(backup)
    if (options.sameEpoch !== true) this.#epoch = randomId()
    this.#history = {}
    this.#moved.tell(this.#content.head)
  }

  renewEpoch(): void {
    this.#epoch = randomId()
    this.#history = {}
  }
}

/** Commits and verdicts, and where each of them is found. */
class Content {
  readonly commits: LoggedCommit[] = []
  readonly events: LoggedEvent[] = []
  readonly byId = new Map<string, LoggedEvent>()
  readonly lastOf = new Map<string, LoggedEvent>()
  readonly chains = new Map([[0, chainStart]])
  /** By the position that a commit is behind, the place of that commit. */
  readonly #places = new Map<number, number>()
  readonly #verdicts = new Map<string, Map<string, FinalVerdict>>()

  constructor(backup?: LogBackup) {
    for (const commit of backup?.commits ?? []) this.add(commit)
    for (const [author, verdicts] of backup?.verdicts ?? [])
      for (const [id, verdict] of verdicts) this.keep(author, id, verdict)
  }

  get head() {
    return this.events.length
  }

  get chain() {
    return this.chains.get(this.head) as string
  }

  add(commit: LoggedCommit): void {
    this.#places.set(this.head, this.commits.length)
    this.commits.push(commit)
    for (const event of commit.events) {
      this.events.push(event)
      this.byId.set(event.id, event)
      this.lastOf.set(event.stream, event)
    }
    this.chains.set(this.head, commit.chain)
  }

  keep(author: string, id: string, verdict: FinalVerdict): void {
    const own = this.#verdicts.get(author) ?? new Map<string, FinalVerdict>()
    this.#verdicts.set(author, own.set(id, verdict))
  }

  verdict(author: string, id: string): FinalVerdict | undefined {
    return this.#verdicts.get(author)?.get(id)
  }

  read(after: number, limit: number): LoggedCommit[] {
    const found: LoggedCommit[] = []
    let left = limit
    for (let place = this.#places.get(after) ?? Infinity; place < this.commits.length; place += 1) {
      const commit = this.commits[place] as LoggedCommit
      left -= commit.events.length
      if (left < 0 && found.length > 0) break
      found.push(commit)
    }
    return found
  }

  copy(): LogBackup {
    return {
      commits: [...this.commits],
      verdicts: new Map([...this.#verdicts].map(([author, own]) => [author, new Map(own)])),
    }
  }
}

/** What one decision sees: the content, and what it has added itself, which is stored together or not at all. */
class Decision implements LogDecision {
  readonly #content: Content
  readonly #added: LoggedCommit[] = []
  readonly #events: LoggedEvent[] = []
  readonly #kept: { readonly author: string; readonly id: string; readonly verdict: FinalVerdict }[] = []

  constructor(
    content: Content,
    readonly epoch: string,
  ) {
    this.#content = content
  }

  get head() {
    return this.#content.head + this.#events.length
  }

  get chain() {
    return this.#added.at(-1)?.chain ?? this.#content.chain
  }

  find(ids: readonly string[]) {
    const wanted = new Set(ids)
    const own = this.#events.filter(({ id }) => wanted.has(id)).map((event) => [event.id, event] as const)
    return Promise.resolve(new Map([...entriesOf(wanted, (id) => this.#content.byId.get(id)), ...own]))
  }

  last(streams: readonly string[]) {
    const wanted = new Set(streams)
    const own = this.#events.filter(({ stream }) => wanted.has(stream)).map((event) => [event.stream, event] as const)
    return Promise.resolve(new Map([...entriesOf(wanted, (stream) => this.#content.lastOf.get(stream)), ...own]))
  }

  verdicts(author: string, ids: readonly string[]) {
    const wanted = new Set(ids)
    const own = this.#kept
      .filter((kept) => kept.author === author && wanted.has(kept.id))
      .map(({ id, verdict }) => [id, verdict] as const)
    return Promise.resolve(new Map([...entriesOf(wanted, (id) => this.#content.verdict(author, id)), ...own]))
  }

  async *after(position: number) {
    yield* [...this.#content.events.slice(position), ...this.#events].filter((event) => event.position > position)
  }

  add(commit: LoggedCommit) {
    if (commit.events.length === 0 || commit.events.some((event, index) => event.position !== this.head + index + 1))
      return Promise.reject(new InvalidArgumentError('commit', say`must begin at ${this.head + 1} and have no holes.`))
    this.#added.push(commit)
    this.#events.push(...commit.events)
    return Promise.resolve()
  }

  keep(author: string, ids: readonly string[], verdict: FinalVerdict) {
    for (const id of ids) this.#kept.push({ author, id, verdict })
    return Promise.resolve()
  }

  commit(): void {
    for (const commit of this.#added) this.#content.add(commit)
    for (const { author, id, verdict } of this.#kept) this.#content.keep(author, id, verdict)
  }
}

const entriesOf = <T>(keys: Iterable<string>, find: (key: string) => T | undefined): (readonly [string, T])[] =>
  Array.from(keys, (key) => [key, find(key)] as const).filter((entry): entry is [string, T] => entry[1] !== undefined)
