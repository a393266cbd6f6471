/** One event at work: what it wrote counts only if all of it succeeds. */
import { InvalidArgumentError } from '../../errors.js'
import { say } from '../../messages.js'
import type { StackGuard } from '../../projection/stack-guard.js'
import type { Applying } from '../../projection/target.js'
import type { TableWork } from './table-work.js'
import type { Invocation } from './table-writers.js'

/** An event on the tables as they were when it began. */
export class EventWork implements Invocation, Applying {
  readonly tables: ReadonlyMap<string, TableWork>
  readonly load: Invocation['load']
  readonly #handlers: StackGuard | undefined
  open = true
  asked: string | undefined
  loading = 0
  isFailed = false
  readFailure: Invocation['readFailure']
  done!: Promise<void>

  constructor(tables: ReadonlyMap<string, TableWork>, load: Invocation['load'], handlers: StackGuard | undefined) {
    this.tables = tables
    this.load = load
    this.#handlers = handlers
  }

  until(done: Promise<void>): this {
    this.done = done
    return this
  }

  ended(): void {
    const problem = this.#problem()
    if (problem !== undefined) this.failed(problem)
    this.#close()
    for (const table of this.tables.values()) table.keep()
  }

  failed(error: unknown): never {
    this.isFailed = true
    this.#close()
    for (const table of this.tables.values()) table.discard()
    throw error
  }

  /** Its handler is done, and nothing more may be written. @throws if the handler still waits for something */
  handled(): void {
    const problem = this.#problem()
    this.isFailed = problem !== undefined
    if (problem !== undefined) throw problem
    this.open = false
  }

  #problem(): unknown {
    // A handler may have caught it, or taken the row for missing.
    if (this.readFailure !== undefined) return this.readFailure.error
    return this.loading > 0 ? notAwaited(this.asked) : undefined
  }

  #close(): void {
    this.open = false
    this.#handlers?.leave()
  }
}

/** What a handler writes after it ended is in no commit, and the checkpoint would move on without it. */
export const notAwaited = (table: string | undefined): InvalidArgumentError =>
  new InvalidArgumentError(
    say`Table '${table}'`,
    say`was asked by a handler that did not wait for it. Await every get(), getMany(), getAll(), update() and patch() of a handler, also in loops, or return their promise.`,
  )
