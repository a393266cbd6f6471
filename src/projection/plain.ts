/** A plain projector as a target: its checkpoint is saved after its events, so an event may be applied again after a crash. */
import { InvalidArgumentError } from '../errors.js'
import type { EventShape, RecordedEvent } from '../events/event.js'
import { projectionName } from '../events/names.js'
import type { CheckpointStore } from './ports.js'
import type { ProjectionConfig, Projector } from './projector.js'
import type { ProjectionState, ProjectionTarget } from './target.js'

/** There is nowhere to keep a dead letter, so 'park' acts as 'skip' here. */
export function plainTarget<E extends EventShape, C>(projector: Projector<E, C>, checkpoints: CheckpointStore, config: ProjectionConfig<C>): ProjectionTarget<E> {
  if (typeof projector !== 'object' || projector === null || typeof projector.apply !== 'function') throw new InvalidArgumentError('projector', 'must be an object with name and apply.')
  const name = projectionName(projector.name)
  const { context } = config
  let made: { value: C } | undefined
  const contextValue = () => (made ??= { value: (typeof context === 'function' ? (context as () => C)() : context) as C }).value
  let saved = 0
  const state = async (): Promise<ProjectionState> => ({ position: (await checkpoints.load(name)) ?? 0, epoch: 0, owner: '', paused: false, letters: 0 })
  const save = async (position: number) => {
    if (position === saved) return
    await checkpoints.save(name, position, { expected: saved })
    saved = position
  }
  const applyAndSave = async (event: RecordedEvent<E>) => {
    await projector.apply(event, contextValue())
    await save(event.position)
  }
  return {
    name,
    key: name,
    filter: projector.filter ?? {},
    transactional: false,
    onError: (failure) => projector.onError?.(failure) ?? 'fatal',
    async begin() {
      const loaded = await state()
      saved = loaded.position
      return loaded
    },
    apply(event) {
      if (config.checkpoint === 'each-event') return applyAndSave(event)
      return projector.apply(event, contextValue())
    },
    park() {},
    async commit(position) {
      await save(position)
      return { paused: false }
    },
    reset() {},
    state,
    async setPaused() {
      throw new InvalidArgumentError('pause', 'needs a read model (defineProjection): a plain projector has nowhere to keep it.')
    },
    close() {},
  }
}
