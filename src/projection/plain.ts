/** A plain projector as a target: its checkpoint is saved after its events, so an event may be applied again after a crash. */
import { describe, LogInconsistentError, InvalidArgumentError } from '../errors.js'
import { say } from '../messages.js'
import type { EventShape, RecordedEvent } from '../events/event.js'
import { projectionName } from '../events/names.js'
import type { ProjectionOptions } from './config.js'
import type { CheckpointStore } from './ports.js'
import type { Projector } from './projector.js'
import { guarded, stackGuard } from './stack-guard.js'
import {
  applying,
  isForNewerBuilds,
  type DeadLetterRecord,
  type ProjectionControls,
  type ProjectionState,
  type ProjectionTarget,
  type StoredFault,
} from './target.js'

/** What a plain target needs to apply a parked event again. */
export type FindEvent<E extends EventShape> = (position: number) => Promise<RecordedEvent<E>>

/**
 * A plain projector as what the runner drives, and what an app may ask of it. Letters go to the checkpoint store if it can
 * keep them. Pausing is known to this target only: a checkpoint store has nowhere to keep it.
 *
 * @throws InvalidArgumentError, InvalidNameError for what is no projector
 */
export function plainTarget<E extends EventShape, C>(
  projector: Projector<E, C>,
  checkpoints: CheckpointStore,
  config: ProjectionOptions<C>,
  findEvent?: FindEvent<E>,
): ProjectionTarget<E> & ProjectionControls {
  if (typeof projector !== 'object' || projector === null || typeof projector.apply !== 'function') {
    throw new InvalidArgumentError(
      'projector',
      say`must be an object with name and apply, or come from defineProjection.`,
    )
  }
  const name = projectionName(projector.name)
  const { context } = config
  const eachEvent = config.checkpoint === 'each-event'
  let made: { value: C } | undefined
  const contextValue = () =>
    (made ??= { value: (typeof context === 'function' ? (context as () => C)() : context) as C }).value
  const handlers = stackGuard()
  let saved = 0
  let deadLetters: DeadLetterRecord[] = []
  let paused = false
  /** Why it stopped: known to this target only, as there is nowhere to keep it. */
  let fault: StoredFault | undefined
  /** By hand, since the run began. */
  let moved = false
  const saveErrors = new WeakSet<object>()
  const load = async () => {
    const stored: unknown = (await checkpoints.load(name)) ?? 0
    if (Number.isSafeInteger(stored) && (stored as number) >= 0) return stored as number
    throw new LogInconsistentError(
      0,
      say`The stored checkpoint of '${name}' is ${describe(stored)}, which is no position: it was damaged. Call rebuild(), or give the projector another name.`,
    )
  }
  const state = async (): Promise<ProjectionState> => {
    const [position, letters] = await Promise.all([load(), checkpoints.countDeadLetters?.(name)])
    // Another context came past it.
    if (fault !== undefined && fault.position <= position) fault = undefined
    return { position, epoch: 0, owner: '', paused, letters: letters ?? 0, ...(fault === undefined ? {} : { fault }) }
  }
  const save = async (position: number) => {
    if (position === saved && deadLetters.length === 0) return
    await checkpoints.save(name, position, { expected: saved, ...(deadLetters.length === 0 ? {} : { deadLetters }) })
    saved = position
    deadLetters = []
    if (fault !== undefined && fault.position <= position) fault = undefined
  }
  const call = (event: RecordedEvent<E>) => guarded(handlers, () => projector.apply(event, contextValue()))
  const applyAndSave = async (event: RecordedEvent<E>) => {
    await call(event)
    await save(event.position).catch((error: unknown) => {
      // The event is not to blame for it.
      if (typeof error === 'object' && error !== null) saveErrors.add(error)
      throw error
    })
  }
  const letterAt = async (position: number) =>
    (await checkpoints.deadLetters?.(name, position - 1, 1))?.[0]?.position === position
  return {
    name,
    key: name,
    filter: projector.filter ?? {},
    onFailure: async (failure) => {
      if (isForNewerBuilds(failure.error)) return 'fatal'
      const strategy = (await projector.onFailure?.(failure)) ?? 'fatal'
      if ((strategy as string) === 'park-stream')
        throw new InvalidArgumentError(
          'onFailure',
          say`answered 'park-stream', which is for read models. Answer 'park'.`,
        )
      return strategy
    },
    async begin() {
      moved = false
      saved = await load()
      deadLetters = []
      fault = undefined
      return { position: saved, epoch: 0, owner: '', paused, letters: 0 }
    },
    apply: (event) => applying(eachEvent ? applyAndSave(event) : call(event)),
    isStorageFailure: (error) => typeof error === 'object' && error !== null && saveErrors.has(error),
    async recordFault(stopped) {
      if (moved) return 'moved'
      fault = stopped
      return 'stopped'
    },
    park: (letter) => void deadLetters.push(letter),
    async commit(position) {
      await save(position)
      return { paused }
    },
    reset() {
      deadLetters = []
    },
    state,
    async setPaused(value) {
      paused = value
    },
    async rebuild() {
      fault = undefined
      await checkpoints.save(name, 0, { dropDeadLetters: true })
      moved = true
    },
    async skip(position) {
      const stored = await load()
      if (fault?.position !== position || stored >= position) {
        throw new InvalidArgumentError(
          'position',
          say`is ${position}, but the projection is at ${stored} and did not stop there in this context. Look at its status again.`,
        )
      }
      await checkpoints.save(name, position, { expected: stored })
      fault = undefined
    },
    deadLetters: async (after, limit) => (await checkpoints.deadLetters?.(name, after, limit)) ?? [],
    async replay(position) {
      if (findEvent === undefined)
        throw new InvalidArgumentError('letter', say`cannot be replayed without an event store.`)
      if (!(await letterAt(position)))
        throw new InvalidArgumentError('letter', say`is not there any more: it was replayed or discarded already.`)
      await call(await findEvent(position))
      await checkpoints.removeDeadLetter?.(name, position)
    },
    async discard(position) {
      await checkpoints.removeDeadLetter?.(name, position)
    },
    caller: handlers.caller,
    close() {},
  }
}
