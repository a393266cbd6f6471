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
      const result = await work(decisionOn(content, this.#epoch))
      if (content !== this.#content) throw new Error(say`The log was restored from a backup meanwhile.`)
      const { head } = this.#stored
      this.#stored = content.size
      if (content.head > head) this.#moved.tell(content.head)
      return result
    } catch (error) {
      const { commits, refusals } = this.#stored
      const hasAdded = content.commits.length + content.refusals.length > commits + refusals
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
  /** By author, and by id. */
  readonly #verdicts = new Map<string, Map<string, FinalVerdict>>()

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

  verdictsOf(author: string): Map<string, FinalVerdict> {
    return this.#verdicts.get(author) ?? new Map<string, FinalVerdict>()
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
    this.#verdicts.set(refusal.author, this.verdictsOf(refusal.author).set(refusal.id, refusal.verdict))
  }
}

/** The log as a decision sees it, which adds to its content. */
const decisionOn = (content: Content, epoch: string): LogDecision => ({
  epoch,
  get head() {
    return content.head
  },
  get chain() {
    return content.chainAt(content.head) as string
  },
  find: async (ids) => found(ids, content.byId),
  last: async (streams) => found(streams, content.lastOf),
  verdicts: async (author, ids) => found(ids, content.verdictsOf(author)),
  async *after(position) {
    yield* content.events.slice(position)
  },
  async add(commit) {
    const next = content.head + 1
    if (commit.events.length === 0 || commit.events.some(({ position }, index) => position !== next + index))
      throw new InvalidArgumentError('commit', say`must begin at ${next} and have no holes.`)
    content.add(commit)
  },
  async keep(author, ids, verdict) {
    for (const id of ids) content.keep({ author, id, verdict })
  },
})

function found<T>(keys: readonly string[], all: ReadonlyMap<string, T>): Map<string, T> {
  return new Map(keys.flatMap((key) => (all.has(key) ? [[key, all.get(key) as T]] : [])))
}
