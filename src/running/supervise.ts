/**
 * Runs a projection until it is stopped: again after a fault that was dealt with, and after a failure to join it to its
 * store.
 */
import { hasCode, messageOf } from '../errors.js'
import { notice, say } from '../messages.js'
import type { EventShape } from '../events/event.js'
import { pauseBefore } from '../platform/backoff.js'
import type { Clock } from '../platform/clock.js'
import type { Listeners } from '../platform/listeners.js'
import type { ProjectionResult } from '../projection/projector.js'
import type { Attached } from './attach.js'
import type { Joining } from './joining.js'
import type { StatusKeeper } from './status-keeper.js'
import type { StatusWatch } from './status-watch.js'

/** No pause before joining is tried again is longer, ms. */
const longestPause = 30_000

/** Failures of the storage, after which joining is tried again without a call of the app. */
const mayPass = (error: unknown): boolean =>
  hasCode(error, 'storage-failed', 'storage-busy', 'storage-full', 'storage-damaged')

/** The storage that has the locks cannot be reached, such as a database that is started again. */
const isUnreachable = (error: unknown): boolean =>
  hasCode(error, 'coordination-failed') && hasCode((error as Error).cause, 'storage-failed', 'storage-busy')

/** What is supervised. */
export interface Supervised<E extends EventShape> {
  readonly status: StatusKeeper
  readonly clock: Clock
  readonly stopping: AbortSignal
  readonly joining: Pick<Joining<E>, 'latest' | 'failed' | 'retry'>
  readonly watch: Pick<StatusWatch<E>, 'look' | 'start' | 'faulted'>
  /** Tell that a run which stopped should be started again. */
  readonly restarts: Listeners<[]>
  /** Whether joining is tried again after a failure that may pass, and after which first pause, ms. */
  readonly isContinuous: boolean
  readonly failureBackoff: number
  /** Runs the projection once. */
  drive(attached: Attached<E>): Promise<ProjectionResult>
  /** Tells the app that it stopped. */
  faulted(error: unknown): void
}

/** Resolves when the projection is stopped, or with why its batch ended. Never rejects. */
export async function supervise<E extends EventShape>(run: Supervised<E>): Promise<string | undefined> {
  const { joining, watch, stopping, status, clock, restarts } = run
  /** How often in a row it failed, without a run that lasted. */
  let failures = 0
  /** What was failing when a restart was asked for. */
  let heard: unknown
  let wake = () => {}
  stopping.addEventListener('abort', () => wake(), { once: true })
  restarts.add(() => {
    heard = status.getSnapshot().lastError
    wake()
  })
  for (;;) {
    let joined: number | undefined
    let cancel = () => {}
    heard = undefined
    try {
      const attached = await joining.latest
      joined = clock.monotonic()
      watch.start(attached)
      const { reason } = await run.drive(attached)
      await watch.look()
      return notice(reason, reason === 'caught-up' ? say`The batch is done.` : say`The batch ended: ${reason}.`)
    } catch (error) {
      if (stopping.aborted) return undefined
      // Before the status says so: a subscriber may resume synchronously.
      const woken = new Promise<void>((resolve) => (wake = resolve))
      watch.faulted()
      // Otherwise a restart was asked for already: after this failure was reported, and before the run ended.
      if (heard === undefined || heard !== (error as Error).cause) {
        const again = run.isContinuous && (joining.failed ? mayPass(error) : isUnreachable(error))
        if (again) {
          if (joined !== undefined && clock.monotonic() - joined > longestPause) failures = 0
          const pause = pauseBefore(failures, { delay: run.failureBackoff, maxDelay: longestPause })
          cancel = clock.schedule(pause, wake)
          failures += 1
        }
        const phase = again ? 'retrying' : 'faulted'
        status.set({ phase, message: messageOf(error), lastError: error, leader: false, rate: 0 })
        if (!again) run.faulted(error)
        await watch.look()
        await woken
      }
    }
    cancel()
    if (stopping.aborted) return undefined
    joining.retry()
    status.restarted()
  }
}
