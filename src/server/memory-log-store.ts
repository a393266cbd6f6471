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
  readonly refusals: readonly KeptVerdict[]
}

/** A final verdict, and what it is kept under. */
export interface KeptVerdict {
  readonly author: string
  readonly id: string
  readonly verdict: FinalVerdict
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
  /** What is stored for good of the content: a decision that is under way adds to it, and may yet fail. */
  #stored = { commits: 0, refusals: 0, head: 0 }
  #last: Promise<unknown> = Promise.resolve()

  constructor(log: string) {
    if (!/^[\w.-]{1,100}$/.test(log))
      throw new InvalidArgumentError('log', say`must have 1 to 100 of the characters A-Z, a-z, 0-9, '.', '_' and '-'.`)
    this.#log = log
  }

  async identity() {
    return { log: this.#log, epoch: this.#epoch }
  }

  async head() {
    return this.#stored.head
  }

  async chainAt(position: number) {
    return position > this.#stored.head ? undefined : this.#content.chainAt(position)
  }

  async read(after: number, limit: number) {
    const found: LoggedCommit[] = []
    const { commits, ends } = this.#content
    let left = limit
    for (let place = ends.get(after) ?? Infinity; place < this.#stored.commits; place += 1) {
      const commit = commits[place] as LoggedCommit
      left -= commit.events.length
      if (left < 0 && found.length > 0) break
      found.push(commit)
    }
    return found
  }

  decide<T>(work: (log: LogDecision) => Promise<T>): Promise<T> {
    const turn = this.#last.then(() => this.#decideNow(work))
    this.#last = turn.catch(() => {})
    return turn
  }

  async #decideNow<T>(work: (log: LogDecision) => Promise<T>): Promise<T> {
    const content = this.#content
    try {
      const result = await work(new Decision(content, this.#epoch))
      if (content !== this.#content) throw new Error(say`The log was restored from a backup meanwhile.`)
      const { head } = this.#stored
      this.#stored = content.size
      if (content.head > head) this.#moved.tell(content.head)
      return result
    } catch (error) {
      const { commits, refusals } = content.size
      const hasAdded = commits > this.#stored.commits || refusals > this.#stored.refusals
      if (content === this.#content && hasAdded) this.#fill(this.snapshot())
      throw error
    }
  }

  subscribe(listener: (head: number) => void): () => void {
    return this.#moved.add(listener)
  }

  async close() {
    this.#moved.clear()
  }

  snapshot(): LogBackup {
    const { commits, refusals } = this.#content
    return {
      commits: commits.slice(0, this.#stored.commits),
      refusals: refusals.slice(0, this.#stored.refusals),
    }
  }

  restore(backup: LogBackup, options: { readonly sameEpoch?: boolean } = {}): void {
    this.#fill(backup)
    if (options.sameEpoch !== true) this.#epoch = randomId()
    this.#moved.tell(this.#stored.head)
  }

  renewEpoch(): void {
    this.restore(this.snapshot())
  }

  #fill(backup: LogBackup): void {
    this.#content = new Content(backup)
    this.#stored = this.#content.size
  }
}

/** Commits and verdicts, and where each of them is found. */
class Content {
  readonly commits: LoggedCommit[] = []
  readonly events: LoggedEvent[] = []
  readonly byId = new Map<string, LoggedEvent>()
  readonly lastOf = new Map<string, LoggedEvent>()
  /** How many commits end at or before a position where one ends. */
  readonly ends = new Map([[0, 0]])
  readonly refusals: KeptVerdict[] = []
  readonly verdicts = new Map<string, FinalVerdict>()

  constructor({ commits, refusals }: LogBackup = { commits: [], refusals: [] }) {
    for (const commit of commits) this.add(commit)
    for (const refusal of refusals) this.keep(refusal)
  }

  get head() {
    return this.events.length
  }

  get size() {
    return { commits: this.commits.length, refusals: this.refusals.length, head: this.head }
  }

  chainAt(position: number): string | undefined {
    const count = this.ends.get(position)
    return count === 0 ? chainStart : this.commits[(count ?? 0) - 1]?.chain
  }

  add(commit: LoggedCommit): void {
    this.commits.push(commit)
    for (const event of commit.events) {
      this.events.push(event)
      this.byId.set(event.id, event)
      this.lastOf.set(event.stream, event)
    }
    this.ends.set(this.head, this.commits.length)
  }

  keep(refusal: KeptVerdict): void {
    this.refusals.push(refusal)
    this.verdicts.set(keyOf(refusal.author, refusal.id), refusal.verdict)
  }
}

/** Two texts as one, whatever is in them. */
const keyOf = (author: string, id: string) => JSON.stringify([author, id])

class Decision implements LogDecision {
  readonly #content: Content

  constructor(
    content: Content,
    readonly epoch: string,
  ) {
    this.#content = content
  }

  get head() {
    return this.#content.head
  }

  get chain() {
    return this.#content.chainAt(this.head) as string
  }

  async find(ids: readonly string[]) {
    return found(ids, (id) => this.#content.byId.get(id))
  }

  async last(streams: readonly string[]) {
    return found(streams, (stream) => this.#content.lastOf.get(stream))
  }

  async verdicts(author: string, ids: readonly string[]) {
    return found(ids, (id) => this.#content.verdicts.get(keyOf(author, id)))
  }

  async *after(position: number) {
    yield* this.#content.events.slice(position)
  }

  async add(commit: LoggedCommit) {
    if (commit.events.length === 0 || commit.events.some((event, index) => event.position !== this.head + index + 1))
      throw new InvalidArgumentError('commit', say`must begin at ${this.head + 1} and have no holes.`)
    this.#content.add(commit)
  }

  async keep(author: string, ids: readonly string[], verdict: FinalVerdict) {
    for (const id of ids) this.#content.keep({ author, id, verdict })
  }
}

function found<T>(keys: readonly string[], find: (key: string) => T | undefined): Map<string, T> {
  const all = new Map<string, T>()
  for (const key of keys) {
    const value = find(key)
    if (value !== undefined) all.set(key, value)
  }
  return all
}
