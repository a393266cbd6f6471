/** A log while something is decided: what is stored, with what the decision adds laid over it. */
import { InvalidArgumentError } from '../errors.js'
import { say } from '../messages.js'
import type { LogDecision, LoggedCommit, LoggedEvent } from '../server/log-store.js'
import type { FinalVerdict } from '../wire/protocol.js'
import type { Added, KeptVerdicts, SqlLog } from './sql-log.js'

export class ObjectDecision implements LogDecision, Added {
  readonly epoch: string
  head: number
  chain: string
  readonly commits: LoggedCommit[] = []
  readonly kept: KeptVerdicts[] = []
  readonly #ask: <T>(ask: (log: SqlLog) => T) => T
  readonly #ids = new Map<string, LoggedEvent>()
  readonly #streams = new Map<string, LoggedEvent>()
  #isOver = false

  /** @param ask asks the log later, and says what went wrong */
  constructor(log: SqlLog, ask: <T>(ask: (log: SqlLog) => T) => T) {
    this.#ask = ask
    this.epoch = log.identity.read().epoch
    const { head, chain } = log.end()
    this.head = head
    this.chain = chain
  }

  get isEmpty(): boolean {
    return this.commits.length === 0 && this.kept.length === 0
  }

  async find(ids: readonly string[]): Promise<ReadonlyMap<string, LoggedEvent>> {
    this.#assertOpen()
    return over(
      this.#ask((log) => log.find(ids)),
      ids,
      this.#ids,
    )
  }

  async last(streams: readonly string[]): Promise<ReadonlyMap<string, LoggedEvent>> {
    this.#assertOpen()
    return over(
      this.#ask((log) => log.last(streams)),
      streams,
      this.#streams,
    )
  }

  async verdicts(author: string, ids: readonly string[]): Promise<ReadonlyMap<string, FinalVerdict>> {
    this.#assertOpen()
    const found = this.#ask((log) => log.verdicts(author, ids))
    const wanted = new Set(ids)
    for (const each of this.kept)
      if (each.author === author) for (const id of each.ids) if (wanted.has(id)) found.set(id, each.verdict)
    return found
  }

  async *after(position: number): AsyncGenerator<LoggedEvent, void> {
    for (let at = position, isMore = true; isMore;) {
      this.#assertOpen()
      const page = this.#ask((log) => log.behind(at))
      yield* page
      at = page.at(-1)?.position ?? at
      isMore = page.length > 0
    }
    for (const { events } of this.commits) yield* events.filter((event) => event.position > position)
  }

  async add(commit: LoggedCommit): Promise<void> {
    this.#assertOpen()
    const { events } = commit
    if (events.length === 0 || events.some(({ position }, index) => position !== this.head + index + 1))
      throw new InvalidArgumentError('commit', say`must begin at ${this.head + 1} and have no holes.`)
    for (const { line } of events) assertLine(line)
    this.commits.push(commit)
    for (const event of events) {
      this.#ids.set(event.id, event)
      this.#streams.set(event.stream, event)
    }
    this.head += events.length
    this.chain = commit.chain
  }

  async keep(author: string, ids: readonly string[], verdict: FinalVerdict): Promise<void> {
    this.#assertOpen()
    this.kept.push({ author, ids: [...new Set(ids)], verdict })
  }

  /** Nothing can be asked or added any more. */
  end(): void {
    this.#isOver = true
  }

  #assertOpen(): void {
    if (this.#isOver) throw new InvalidArgumentError('log', say`is used after its decision has ended.`)
  }
}

/** The most characters of an event's line: with three bytes each, it fits into a row of 2 MB. */
const mostCharacters = 640_000

/** A line is kept as it is, so it may have nothing that SQLite would change, or that would end it. */
function assertLine(line: string): void {
  if (line.length > mostCharacters || /[\n\0]|\p{Surrogate}/u.test(line))
    throw new InvalidArgumentError(
      'commit.events',
      say`must have lines of JSON without line feeds, of at most ${mostCharacters} characters.`,
    )
}

function over<T>(found: Map<string, T>, names: readonly string[], added: ReadonlyMap<string, T>): Map<string, T> {
  for (const name of names) {
    const value = added.get(name)
    if (value !== undefined) found.set(name, value)
  }
  return found
}
