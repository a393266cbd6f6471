/** Waiting until a projection covers a position: read your own writes. */
import { CaughtUpTimeoutError, ClosedError, InvalidArgumentError, ProjectionFailedError } from '../errors.js'
import { say } from '../messages.js'
import { assertSignal, onlyKnown } from '../platform/arguments.js'
import type { Clock } from '../platform/clock.js'
import { startDeadline } from '../platform/deadline.js'
import { abortable } from '../platform/promises.js'
import { stallTimeout } from '../projection/stall-watch.js'
import type { Invocation } from '../projection/stack-guard.js'
import type { ProjectionStatus, StatusStore } from './status.js'

/** How long `caughtUp` waits. */
export interface CaughtUpOptions {
  /** Ends the wait with the signal's reason. @default none */
  readonly signal?: AbortSignal | undefined
  /**
   * The longest wait, in ms. It begins when a page that is being prerendered is activated, and once more after the page
   * slept.
   * @default no limit
   */
  readonly timeout?: number
  /** What a timeout does: reject with CaughtUpTimeoutError, or resolve with `stale: true`. @default 'throw' */
  readonly onTimeout?: 'throw' | 'stale'
}

/** What `caughtUp` resolves with: the state of the projection when the wait ended. */
export interface CaughtUpResult {
  /** Every event up to this position is in the rows that readers see. */
  readonly position: number
  /** The end of the log, as far as is known. */
  readonly head: number
  /** The position that was waited for was not reached before the timeout. */
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
export const waitsForItself = (name: string, method: string, advice: string): InvalidArgumentError =>
  new InvalidArgumentError(
    method,
    say`is called by a handler of projection '${name}', which would wait for itself. ${advice}`,
  )

/** What a wait depends on. */
export interface Waiting {
  /** The projection's name. */
  readonly name: string
  readonly status: Pick<StatusStore<ProjectionStatus>, 'getSnapshot' | 'subscribe'>
  readonly clock: Clock
  /** The handler that may be waiting for its own projection, and what to throw then. */
  readonly caller?: Invocation | undefined
  readonly itself: () => Error
  /** What the status says counts once this resolves. */
  readonly refreshed: Promise<void>
  /** Wait until no rebuild is under way, as well. */
  readonly built?: boolean | undefined
}

/** What a status means to a caller that waits: the position is reached, or will never be, or neither yet. */
function outcome(
  { name, built = false }: Waiting,
  status: ProjectionStatus,
  wanted: number,
): true | { error: unknown } | undefined {
  const { phase, position, lastError, rebuilding, message: why = '' } = status
  if (position >= wanted && !(built && rebuilding !== undefined)) return true
  if (phase === 'faulted') return { error: lastError }
  if (phase === 'stopped') return { error: new ClosedError(say`Projection '${name}'`) }
  if (phase !== 'paused' && phase !== 'not-running') return undefined
  const message =
    phase === 'not-running'
      ? why
      : say`Projection '${name}' is paused at position ${position}. ${built ? say`Its rebuild continues after resume().` : say`Call resume().`}`
  return { error: new ProjectionFailedError(message, { projector: name, attempts: 0, position }, undefined) }
}

/** Waits until a projection covers a position. Rejects with the reason, without delay, where nothing will move it. */
export async function waitUntilCaughtUp(
  waiting: Waiting,
  wanted: number,
  { signal, timeout, onTimeout = 'throw' }: CaughtUpOptions,
): Promise<CaughtUpResult> {
  const { status, clock, caller, itself, refreshed } = waiting
  let over = false
  const undo: (() => void)[] = []
  const covered = new Promise<CaughtUpResult>((resolve, reject) => {
    const arrived = (stale: boolean) => {
      const { position, head } = status.getSnapshot()
      resolve({ position, head, stale })
    }
    const check = () => {
      const found = outcome(waiting, status.getSnapshot(), wanted)
      if (found === true) arrived(false)
      else if (found !== undefined) reject(found.error)
    }
    const late = () => {
      const { position, head } = status.getSnapshot()
      if (onTimeout === 'stale') arrived(true)
      else reject(new CaughtUpTimeoutError(wanted, position, head, timeout as number))
    }
    if (timeout !== undefined) undo.push(startDeadline(clock, timeout, late))
    // A caller that only looked like a handler is resolved long before this.
    if (caller !== undefined) undo.push(clock.schedule(stallTimeout, () => void (caller.ended || reject(itself()))))
    // Timer and signal count from here; what the status says counts once it was looked at.
    refreshed.then(() => {
      if (over) return
      undo.push(status.subscribe(check))
      check()
    }, reject)
  })
  try {
    return await abortable(covered, signal)
  } finally {
    over = true
    for (const each of undo) each()
  }
}
