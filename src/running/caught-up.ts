/** Waiting until a projection covers a position: read your own writes. */
import { CaughtUpTimeoutError, ClosedError, InvalidArgumentError, ProjectionFailedError } from '../errors.js'
import { say } from '../messages.js'
import { assertSignal, onlyKnown } from '../platform/arguments.js'
import type { Clock } from '../platform/clock.js'
import { startDeadline } from '../platform/deadline.js'
import { stallTimeout } from '../projection/stall-watch.js'
import type { Invocation } from '../projection/stack-guard.js'
import type { StatusStore } from './status.js'

/** How long `caughtUp` waits. */
export interface CaughtUpOptions {
  /** Ends the wait with the signal's reason. */
  readonly signal?: AbortSignal | undefined
  /** ms; in a page that is being prerendered from its activation on, and once more after the page slept. @default no end */
  readonly timeout?: number
  /** What a timeout does: throw, or answer with `stale: true`. @default 'throw' */
  readonly onTimeout?: 'throw' | 'stale'
}

/** Where a projection stood when the wait ended. */
export interface CaughtUpResult {
  readonly position: number
  readonly head: number
  /** The position was not reached before the timeout. */
  readonly stale: boolean
}

/** @throws InvalidArgumentError for an unknown option, and for a value that makes no sense */
export function assertCaughtUpOptions(options: CaughtUpOptions): void {
  onlyKnown(options, ['signal', 'timeout', 'onTimeout'])
  const { signal, timeout, onTimeout = 'throw' } = options
  assertSignal(signal)
  if (timeout !== undefined && !(typeof timeout === 'number' && timeout >= 0))
    throw new InvalidArgumentError('timeout', say`must be a number of ms of at least 0.`)
  if (onTimeout !== 'throw' && onTimeout !== 'stale')
    throw new InvalidArgumentError('onTimeout', say`must be 'throw' or 'stale'.`)
}

/** A handler that waits for its own projection would wait for ever. */
export const waitsForItself = (name: string) =>
  new InvalidArgumentError(
    'caughtUp',
    say`is called by a handler of projection '${name}', which would wait for itself. Read the tables that the handler is given.`,
  )

/**
 * Waits on a status, once it is `refreshed`, until it covers a position, and `built` also until no rebuild is under way. Rejects at once, with the
 * reason, where nothing will move it. `caller` is the handler that may be asking.
 */
export function waitUntilCaughtUp(
  name: string,
  status: StatusStore,
  wanted: number,
  options: CaughtUpOptions,
  clock: Clock,
  caller: Invocation | undefined,
  refreshed: Promise<void>,
  built = false,
): Promise<CaughtUpResult> {
  const { signal, timeout, onTimeout = 'throw' } = options
  // Nobody may come to hear of it.
  refreshed.catch(() => {})
  return new Promise((resolve, reject) => {
    const here = (stale: boolean): CaughtUpResult => {
      const { position, head } = status.getSnapshot()
      return { position, head, stale }
    }
    const finish = (settle: () => void) => {
      over = true
      unsubscribe()
      cancel()
      unsuspect()
      signal?.removeEventListener('abort', aborted)
      settle()
    }
    const check = () => {
      const { phase, position, lastError, rebuilding } = status.getSnapshot()
      if (position >= wanted && !(built && rebuilding !== undefined)) finish(() => resolve(here(false)))
      else if (phase === 'faulted') finish(() => reject(lastError))
      else if (phase === 'stopped') finish(() => reject(new ClosedError(say`Projection '${name}'`)))
      else if (phase === 'paused') {
        finish(() =>
          reject(
            new ProjectionFailedError(
              say`Projection '${name}' is paused at ${position}. Call resume().`,
              { projector: name, attempts: 0, position },
              undefined,
            ),
          ),
        )
      }
    }
    const aborted = () => finish(() => reject(signal?.reason))
    const late = () =>
      finish(() => {
        const { position, head } = status.getSnapshot()
        if (onTimeout === 'stale') resolve(here(true))
        else reject(new CaughtUpTimeoutError(wanted, position, head, timeout as number))
      })
    let unsubscribe = () => {}
    let over = false
    const cancel = timeout === undefined ? () => {} : startDeadline(clock, timeout, late)
    // Others that ask at such a moment are served long before.
    const unsuspect =
      caller === undefined
        ? () => {}
        : clock.schedule(stallTimeout, () => {
            if (!caller.ended) finish(() => reject(waitsForItself(name)))
          })
    signal?.addEventListener('abort', aborted, { once: true })
    if (signal?.aborted === true) return aborted()
    // Timer and signal count from here; what the status says counts once it was looked at.
    const begin = () => {
      if (over) return
      unsubscribe = status.subscribe(check)
      check()
    }
    refreshed.then(begin, (error: unknown) => finish(() => reject(error)))
  })
}
