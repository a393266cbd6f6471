/** What a runner drives for a projector into tables of the app: its events are applied within its transactions. */
import type { EventShape, RecordedEvent } from '../events/event.js'
import { PlainTarget } from '../projection/plain.js'
import { applied, type ProjectionState } from '../projection/target.js'
import type { ProjectorTransactions } from './projector-transactions.js'

/** How many events `applyAll` gets at most. */
const longestRun = 1000

/** As the target of any plain projector, but for what belongs to its transactions. */
export class ProjectorTarget<E extends EventShape> extends PlainTarget<E, unknown> {
  readonly #transactions: ProjectorTransactions<E>
  readonly #mayJoin: boolean

  constructor(transactions: ProjectorTransactions<E>, given: ConstructorParameters<typeof PlainTarget<E, unknown>>) {
    const [projector, checkpoints, options, store] = given
    super(projector, transactions.savingTo(checkpoints), { ...options, context: transactions }, store)
    this.#transactions = transactions
    this.#mayJoin = transactions.takesMany && options.checkpoint !== 'each-event'
  }

  applyAll(events: readonly RecordedEvent<E>[], from: number, to: number): number | Promise<number> {
    const end = Math.min(to, from + longestRun)
    if (!this.#mayJoin || end - from < 2 || this.#transactions.isSuspect(events[from] as RecordedEvent<E>)) return 0
    return this.#applyRun(events.slice(from, end))
  }

  async #applyRun(run: readonly RecordedEvent<E>[]): Promise<number> {
    try {
      this.#transactions.nextRun = run
      await applied(super.apply(run[0] as RecordedEvent<E>))
      return run.length
    } catch (error) {
      if (this.isStorageFailure(error)) throw error
      this.#transactions.suspect(run)
      return 0
    }
  }

  override async begin(): Promise<ProjectionState> {
    const state = await super.begin()
    this.#transactions.began(state.position)
    return state
  }

  override reset(): void {
    super.reset()
    this.#transactions.drop()
  }

  override isStorageFailure(error: unknown): boolean {
    return super.isStorageFailure(error) || this.#transactions.isStorageFailure(error)
  }

  protected override replayed(event: RecordedEvent<E>): Promise<void> {
    return this.#transactions.replay(event)
  }
}
