/** A plain projector as a target: its checkpoint is saved after its events, so an event may be applied again after a crash. */
import { InvalidArgumentError } from '../errors.js'
import type { EventShape, RecordedEvent } from '../events/event.js'
import { projectionName } from '../events/names.js'
import type { ProjectionConfig } from './config.js'
import type { CheckpointStore } from './ports.js'
import type { Projector } from './projector.js'
import { guarded, stackGuard } from './stack-guard.js'
import type { DeadLetterRecord, ProjectionControls, ProjectionState, ProjectionTarget } from './target.js'

/** What a plain target needs to apply a parked event again. */
export type FindEvent<E extends EventShape> = (position: number) => Promise<RecordedEvent<E>>

/**
 * A plain projector as what the runner drives, and what an app may ask of it. Letters go to the checkpoint store if it can
 * keep them. Pausing is known to this target only: a checkpoint store has nowhere to keep it.
 *
 * @throws InvalidArgumentError, InvalidNameError for what is no projector
 */
export function plainTarget<E extends EventShape, C>(
  projector: Projector<E, C>, checkpoints: CheckpointStore, config: ProjectionConfig<C>, findEvent?: FindEvent<E>,
): ProjectionTarget<E> & ProjectionControls {
  if (typeof projector !== 'object' || projector === null || typeof projector.apply !== 'function') {
    throw new InvalidArgumentError('projector', 'must be an object with name and apply, or come from defineProjection.')
  }
  const name = projectionName(projector.name)
  const { context } = config
  const eachEvent = config.checkpoint === 'each-event'
  let made: { value: C } | undefined
  const contextValue = () => (made ??= { value: (typeof context === 'function' ? (context as () => C)() : context) as C }).value
  const handlers = stackGuard()
  let saved = 0
  let letters: DeadLetterRecord[] = []
  let paused = false
  const load = async () => (await checkpoints.load(name)) ?? 0
  const state = async (): Promise<ProjectionState> => {
    const [position, first] = await Promise.all([load(), checkpoints.letters?.(name, 0, 1000)])
    return { position, epoch: 0, owner: '', paused, letters: first?.length ?? 0 }
  }
  const save = async (position: number) => {
    if (position === saved && letters.length === 0) return
    await checkpoints.save(name, position, { expected: saved, ...(letters.length === 0 ? {} : { letters }) })
    saved = position
    letters = []
  }
  const call = (event: RecordedEvent<E>) => guarded(handlers, () => projector.apply(event, contextValue()))
  const applyAndSave = async (event: RecordedEvent<E>) => {
    await call(event)
    await save(event.position)
  }
  return {
    name,
    key: name,
    filter: projector.filter ?? {},
    onError: (failure) => projector.onError?.(failure) ?? 'fatal',
    async begin() {
      saved = await load()
      letters = []
      return { position: saved, epoch: 0, owner: '', paused, letters: 0 }
    },
    apply: eachEvent ? applyAndSave : call,
    park: (letter) => void letters.push(letter),
    async commit(position) {
      await save(position)
      return { paused }
    },
    reset() {
      letters = []
    },
    state,
    async setPaused(value) {
      paused = value
    },
    async rebuild() {
      await checkpoints.save(name, 0)
    },
    async skip(position) {
      const stored = await load()
      if (stored >= position) throw new InvalidArgumentError('position', `is ${position}, but the projection is at ${stored} already.`)
      await checkpoints.save(name, position, { expected: stored })
    },
    letters: async (after, limit) => (await checkpoints.letters?.(name, after, limit)) ?? [],
    async replay(position) {
      if (findEvent === undefined) throw new InvalidArgumentError('letter', 'cannot be replayed without an event store.')
      await call(await findEvent(position))
      await checkpoints.removeLetter?.(name, position)
    },
    async discard(position) {
      await checkpoints.removeLetter?.(name, position)
    },
    caller: handlers.caller,
    close() {},
  }
}
