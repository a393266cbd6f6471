/** What an app holds of a projection that was started. */
import { ClosedError } from '../errors.js'
import { say } from '../messages.js'
import type { EventShape } from '../events/event.js'
import { wholeNumber } from '../platform/arguments.js'
import { disposable } from '../platform/disposable.js'
import type { Listeners } from '../platform/listeners.js'
import type { DeadLetterRecord } from '../ports.js'
import { lettersInPages } from '../projection/letter-pages.js'
import type { ProjectionControls } from '../projection/target.js'
import {
  assertCaughtUpOptions,
  waitsForItself,
  waitUntilCaughtUp,
  type CaughtUpOptions,
  type CaughtUpResult,
} from './caught-up.js'
import type { Joining } from './joining.js'
import { rebuild, type Rebuildable, type RebuildOptions } from './rebuild.js'
import type { StatusKeeper } from './status-keeper.js'
import type { ProjectionStatus, StatusStore } from './status.js'

/** An event that was parked, and what can be done about it. */
export interface DeadLetter extends DeadLetterRecord {
  /**
   * Applies the event again and removes the dead letter; the checkpoint stays. For a read model that is one
   * transaction. A plain projector applies the event first, so it may see the event once more if the page ends in
   * between.
   *
   * @throws InvalidArgumentError if it was replayed or discarded already, or if an earlier dead letter of the same
   * stream has to be replayed first; or if the checkpoint store of a plain projector has no `removeDeadLetter`
   * @throws what the handler throws; the dead letter stays then
   */
  replay(): Promise<void>
  /**
   * Removes the dead letter: the event stays without effect.
   *
   * @throws InvalidArgumentError if the checkpoint store of a plain projector has no `removeDeadLetter`
   */
  discard(): Promise<void>
}

/**
 * A running projection. Every method may be called in any context, also in one that does not lead.
 *
 * @example
 * const projection = startProjection(store, basket)
 * const { position } = await store.append({ stream: 'basket-1', events: [itemAdded] })
 * await projection.caughtUp(position)
 */
export interface ProjectionHandle {
  /** The state of the projection, and how to follow it. */
  readonly status: StatusStore<ProjectionStatus>
  /**
   * Waits until the rows that readers see cover a position: read your own writes.
   *
   * @throws ProjectionFailedError or the error itself, without delay, if the projection is paused, faulted or not
   * running
   * @throws CaughtUpTimeoutError after `timeout` ms, unless `onTimeout` is 'stale'
   * @throws ClosedError if the projection is stopped in this context
   * @throws InvalidArgumentError when called by a handler of this projection, which would wait for itself: immediately
   * if it calls before its first `await`, otherwise after five seconds in which it did not end
   */
  caughtUp(position: number, options?: CaughtUpOptions): Promise<CaughtUpResult>
  /**
   * Stops the work in every context after the next commit. Stored: it stays paused when every tab was closed. Of a
   * plain projector it is not stored: there it holds for this handle.
   */
  pause(): Promise<void>
  /** Continues after `pause`, and after a fault. */
  resume(): Promise<void>
  /**
   * Leaves out the event that the projection stopped at, and continues. Rebuilds leave it out as well; a later
   * `version` tries it, and leaves it out if it fails.
   *
   * @throws InvalidArgumentError if the projection has not stopped at that event, or not any more
   */
  skip(position: number): Promise<void>
  /**
   * Dead letters in the order of the log, read 256 at a time.
   *
   * @example
   * for await (const deadLetter of projection.deadLetters()) await deadLetter.replay()
   */
  deadLetters(): AsyncIterable<DeadLetter>
  /**
   * Folds everything again from the first event; `status.rebuilding` shows how far that is. Readers keep the rows that
   * are there until the new ones are complete. Resolves when they are: of a plain projector, when it is where it was.
   * The work is that of the leader, and stored: if that context ends, the next leader completes it. If `rebuild` is
   * called again meanwhile, in any context, it begins again, and both calls resolve when that is complete.
   *
   * @throws ProjectionFailedError if the rebuild was given up because an event failed; the rows from before it stay
   * @throws ProjectionFailedError if the projection is paused; the rebuild continues after `resume`
   * @throws ClosedError if the projection is stopped in this context; the rebuild continues in the context that leads
   * next
   * @throws InvalidArgumentError when called by a handler of this projection without `{ wait: false }`, as for
   * `caughtUp`
   */
  rebuild(options?: RebuildOptions): Promise<void>
  /**
   * Ends the work in this context and frees everything. What was applied is stored first; a handler that hangs is
   * waited for two seconds.
   */
  stop(): Promise<void>
  /** The same as `stop`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>
}

/** Dead letters that are read together. */
const deadLetterPage = 256

/** What a handle works with. */
export interface Handled<E extends EventShape> extends Rebuildable<E> {
  readonly status: StatusKeeper
  readonly stopping: AbortSignal
  readonly joining: Joining<E>
  /** Tell the run that a caller waits for a position: it may wait for more events otherwise. */
  readonly wanted: Listeners<[position: number]>
  stop(): Promise<void>
}

/** Makes the handle of a projection that was started. */
export function handleOf<E extends EventShape>(of: Handled<E>): ProjectionHandle {
  const { joining, look, again, stop } = of
  return disposable<ProjectionHandle>(
    {
      status: of.status.readable,
      caughtUp: (position, options = {}) => caughtUp(of, position, options),
      async pause() {
        await (await joining.controls()).setPaused(true)
        await look()
      },
      async resume() {
        await (await joining.controls()).setPaused(false)
        await again()
      },
      async skip(position) {
        wholeNumber(position, 'position', 1)
        await (await joining.controls()).skip(position)
        await again()
      },
      async *deadLetters() {
        yield* deadLetters(await joining.controls())
      },
      rebuild: (options = {}) => rebuild(of, options),
      stop,
    },
    stop,
  )
}

async function caughtUp<E extends EventShape>(
  { name, status, clock, joining, stopping, wanted, look }: Handled<E>,
  position: number,
  options: CaughtUpOptions,
): Promise<CaughtUpResult> {
  wholeNumber(position, 'position')
  assertCaughtUpOptions(options)
  const caller = joining.attached?.target.caller()
  const itself = () => waitsForItself(name, 'caughtUp', say`Read the tables that the handler is given.`)
  if (caller === true) throw itself()
  options.signal?.throwIfAborted()
  if (stopping.aborted) throw new ClosedError(say`Projection '${name}'`)
  wanted.tell(position)
  const { leader, phase } = status.getSnapshot()
  // The status of a run of this context that works is up to date.
  const isTrue = leader && (phase === 'live' || phase === 'catching-up')
  const refreshed = isTrue ? Promise.resolve() : joining.urgent().then(look)
  return waitUntilCaughtUp({ name, status, clock, caller, itself, refreshed }, position, options)
}

async function* deadLetters(target: ProjectionControls): AsyncGenerator<DeadLetter> {
  for await (const letter of lettersInPages((after, limit) => target.deadLetters(after, limit), deadLetterPage)) {
    const { position } = letter
    yield { ...letter, replay: () => target.replay(position), discard: () => target.discard(position) }
  }
}
