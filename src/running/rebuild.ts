/** Folding a projection again from the first event, and waiting for the end of that. */
import { InvalidArgumentError, ProjectionFailedError } from '../errors.js'
import { say } from '../messages.js'
import type { EventShape } from '../events/event.js'
import { assertSignal, onlyKnown } from '../platform/arguments.js'
import type { Clock } from '../platform/clock.js'
import { abortable } from '../platform/promises.js'
import type { ProjectionControls } from '../projection/target.js'
import { waitsForItself, waitUntilCaughtUp } from './caught-up.js'
import type { Joining } from './joining.js'
import type { StatusKeeper } from './status-keeper.js'

/** Whether `rebuild` waits. */
export interface RebuildOptions {
  /** `false`: resolve as soon as the rebuild has begun, which is stored. @default true */
  readonly wait?: boolean
  /** Ends the wait with the signal's reason, not the rebuild. @default none */
  readonly signal?: AbortSignal | undefined
}

/** What a rebuild needs. */
export interface Rebuildable<E extends EventShape> {
  readonly name: string
  readonly clock: Clock
  readonly status: Pick<StatusKeeper, 'getSnapshot' | 'subscribe'>
  readonly joining: Pick<Joining<E>, 'attached' | 'controls'>
  /** The head of the log. */
  head(): Promise<number>
  /** Looks at the stored state. */
  look(): Promise<void>
  /** Starts a run that a fault stopped, and looks at the stored state. */
  again(): Promise<void>
}

/**
 * See `ProjectionHandle.rebuild`. Whichever context leads does the work, so this one follows the status and the stored
 * state.
 */
export async function rebuild<E extends EventShape>(of: Rebuildable<E>, options: RebuildOptions): Promise<void> {
  onlyKnown(options, ['wait', 'signal'])
  const { wait = true, signal } = options
  assertSignal(signal)
  if (typeof wait !== 'boolean') throw new InvalidArgumentError('wait', say`must be true or false.`)
  const { name, status, clock, joining } = of
  const caller = wait ? joining.attached?.target.caller() : undefined
  const itself = () => waitsForItself(name, 'rebuild', say`Pass { wait: false }.`)
  if (caller === true) throw itself()
  signal?.throwIfAborted()
  const target = await abortable(joining.controls(), signal)
  const wanted = wait ? await abortable(whereItWas(target, of.head()), signal) : 0
  await target.rebuild()
  await of.again()
  if (!wait) return
  for (;;) {
    const waiting = { name, status, clock, caller, itself, refreshed: of.look(), built: true }
    await waitUntilCaughtUp(waiting, wanted, { signal })
    // The status may be older than the rebuild.
    const { rebuild: underWay, position, rebuildFault } = await target.state()
    if (underWay !== undefined || position < wanted) continue
    if (rebuildFault === undefined) return
    throw new ProjectionFailedError(
      rebuildFault.message,
      { projector: name, attempts: 1, position: rebuildFault.position },
      undefined,
    )
  }
}

/**
 * Where it has to come again: a plain projector goes back, and so does a read model that is deleted meanwhile. A
 * checkpoint that is damaged, or beyond the head, is what a rebuild repairs.
 */
const whereItWas = async (target: Pick<ProjectionControls, 'state'>, head: Promise<number>): Promise<number> =>
  Math.min(
    await head,
    await target.state().then(
      ({ position }) => position,
      () => Infinity,
    ),
  )
