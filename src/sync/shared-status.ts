/** The status of a synced store in this context; while this one leads, the other contexts are notified of it. */
import type { Clock } from '../platform/clock.js'
import type { SyncLeadership } from './sync-leadership.js'
import { SyncStatusKeeper } from './sync-status-keeper.js'
import type { SyncParts } from './sync-parts.js'
import type { SyncStatus, SyncStatusChange } from './sync-status.js'

/** It is posted at most once in this time, ms. */
const betweenPosts = 16

export class SharedStatus extends SyncStatusKeeper {
  readonly #clock: Clock
  readonly #leadership: Pick<SyncLeadership, 'leads'>
  readonly #tell: (status: SyncStatus) => void
  #cancel: (() => void) | undefined
  #isOver = false

  /** @param tell tells other contexts */
  constructor(
    { clock, current }: Pick<SyncParts, 'clock' | 'current'>,
    leadership: Pick<SyncLeadership, 'leads'>,
    tell: (status: SyncStatus) => void,
  ) {
    super(current)
    this.#clock = clock
    this.#leadership = leadership
    this.#tell = tell
  }

  /** Some entries become different, also for other contexts if this one leads. */
  show(change: SyncStatusChange): void {
    // How it ended stays.
    if (this.#isOver || !this.set(change) || this.#cancel !== undefined) return
    if (!this.#leadership.leads) return
    // The first one is posted immediately, and what follows soon is posted together.
    this.post()
    const posted = this.getSnapshot()
    this.#cancel = this.#clock.schedule(betweenPosts, () => {
      this.#cancel = undefined
      if (this.#leadership.leads && this.getSnapshot() !== posted) this.post()
    })
  }

  /** Syncing ended in this context: the last change. Not for others, whose store may be another one. */
  end(change: SyncStatusChange): void {
    this.#isOver = true
    this.#cancel?.()
    this.set(change)
  }

  post(): void {
    this.#tell(this.getSnapshot())
  }
}
