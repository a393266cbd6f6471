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

/** A log, and what finds its parts. */
interface Content {
  readonly commits: LoggedCommit[]
  readonly events: LoggedEvent[]
  readonly byId: Map<string, LoggedEvent>
  readonly lastOf: Map<string, LoggedEvent>
  /** How many commits end at or before a position where one ends. */
  readonly ends: Map<number, number>
  readonly refusals: KeptVerdict[]
  /** By author, and by id. */
  readonly verdicts: Map<string, Map<string, FinalVerdict>>
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
export function memoryLogStore({ log = randomId() }: { readonly log?: string } = {}): MemoryLogStore {
  if (!/^[\w.-]{1,100}$/.test(log))
    throw new InvalidArgumentError('log', say`must have 1 to 100 of the characters A-Z, a-z, 0-9, '.', '_' and '-'.`)
  const moved = listenerSet<[head: number]>()
  let epoch = randomId()
  let last: Promise<unknown> = Promise.resolve()
  let content: Content
  /** How much of the content is stored for good: a decision that is under way adds to it, and may yet fail. */
  let [commits, refusals, head] = [0, 0, 0]

  const store = () => {
    commits = content.commits.length
    refusals = content.refusals.length
    head = content.events.length
  }
  const fill = (backup: LogBackup) => {
    content = contentOf(backup)
    store()
  }
  const snapshot = () => ({
    commits: content.commits.slice(0, commits),
    refusals: content.refusals.slice(0, refusals),
  })
  const decide = async <T>(work: (log: LogDecision) => Promise<T>): Promise<T> => {
    const mine = content
    try {
      const result = await work(decisionOn(mine, epoch))
      if (mine !== content) throw new Error(say`The log was restored from a backup meanwhile.`)
      const before = head
      store()
      if (head > before) moved.tell(head)
      return result
    } catch (error) {
      const hasAdded = mine.commits.length + mine.refusals.length > commits + refusals
      if (mine === content && hasAdded) fill(snapshot())
      throw error
    }
  }
  const restore: MemoryLogStore['restore'] = (backup, { sameEpoch } = {}) => {
    fill(backup)
    if (sameEpoch !== true) epoch = randomId()
    moved.tell(head)
  }

  fill({ commits: [], refusals: [] })
  return {
    identity: async () => ({ log, epoch }),
    head: async () => head,
    chainAt: async (position) => (position > head ? undefined : chainAt(content, position)),
    async read(after, limit) {
      const first = content.ends.get(after) ?? Infinity
      const found: LoggedCommit[] = []
      let left = limit
      // A commit has an event at least.
      for (const commit of content.commits.slice(first, Math.min(commits, first + limit))) {
        left -= commit.events.length
        if (left < 0 && found.length > 0) break
        found.push(commit)
      }
      return found
    },
    decide(work) {
      const turn = last.then(() => decide(work))
      last = turn.catch(() => {})
      return turn
    },
    subscribe: (listener) => moved.add(listener),
    close: async () => moved.clear(),
    snapshot,
    restore,
    renewEpoch: () => restore(snapshot()),
  }
}

function contentOf({ commits, refusals }: LogBackup): Content {
  const content: Content = {
    commits: [],
    events: [],
    byId: new Map(),
    lastOf: new Map(),
    ends: new Map([[0, 0]]),
    refusals: [],
    verdicts: new Map(),
  }
  for (const commit of commits) add(content, commit)
  for (const refusal of refusals) keep(content, refusal)
  return content
}

function add({ commits, events, byId, lastOf, ends }: Content, commit: LoggedCommit): void {
  commits.push(commit)
  for (const event of commit.events) {
    events.push(event)
    byId.set(event.id, event)
    lastOf.set(event.stream, event)
  }
  ends.set(events.length, commits.length)
}

function keep({ refusals, verdicts }: Content, refusal: KeptVerdict): void {
  const { author, id, verdict } = refusal
  refusals.push(refusal)
  verdicts.set(author, (verdicts.get(author) ?? new Map<string, FinalVerdict>()).set(id, verdict))
}

function chainAt({ commits, ends }: Content, position: number): string | undefined {
  const count = ends.get(position)
  return count === 0 ? chainStart : commits[(count ?? 0) - 1]?.chain
}

/** The log as a decision sees it, which adds to its content. */
const decisionOn = (content: Content, epoch: string): LogDecision => ({
  epoch,
  get head() {
    return content.events.length
  },
  get chain() {
    return chainAt(content, content.events.length) as string
  },
  find: async (ids) => found(ids, content.byId),
  last: async (streams) => found(streams, content.lastOf),
  verdicts: async (author, ids) => found(ids, content.verdicts.get(author)),
  async *after(position) {
    yield* content.events.slice(position)
  },
  async add(commit) {
    const next = content.events.length + 1
    if (commit.events.length === 0 || commit.events.some(({ position }, index) => position !== next + index))
      throw new InvalidArgumentError('commit', say`must begin at ${next} and have no holes.`)
    add(content, commit)
  },
  async keep(author, ids, verdict) {
    for (const id of ids) keep(content, { author, id, verdict })
  },
})

function found<T>(keys: readonly string[], all: ReadonlyMap<string, T> | undefined): Map<string, T> {
  return new Map(keys.flatMap((key) => (all?.has(key) ? [[key, all.get(key) as T]] : [])))
}
