/**
 * A plain projector as a target: its checkpoint is saved after its events, so an event may be applied again after a
 * crash.
 */
import { describe, InvalidArgumentError, LogInconsistentError } from '../errors.js'
import { say } from '../messages.js'
import type { EventShape, RecordedEvent } from '../events/event.js'
import { projectionName } from '../events/names.js'
import type { EventFilter } from '../log/event-store.js'
import type { CheckpointStore, DeadLetterRecord } from '../ports.js'
import type { ProjectorOptions } from './config.js'
import type { Projector } from './projector.js'
import { guarded, stackGuard, type Invocation } from './stack-guard.js'
import { storageErrors } from './storage-errors.js'
import {
  applying,
  isForNewerBuilds,
  type Applying,
  type CommitResult,
  type FailureContext,
  type FaultOutcome,
  type ProjectionControls,
  type ProjectionState,
  type ProjectionTarget,
  type ReadModelFailureStrategy,
  type StoredFault,
} from './target.js'
import { isObject } from '../platform/objects.js'

type Given<E extends EventShape, C> = ConstructorParameters<typeof PlainTarget<E, C>>

/** Where a projector has the class of its target, if that is another one. */
export const ownTarget = Symbol()

export interface OwnTarget<E extends EventShape> {
  readonly [ownTarget]?: new (...given: Given<E, unknown>) => PlainTarget<E, unknown>
}

/** The target of a plain projector. */
export function plainTarget<E extends EventShape, C>(...given: Given<E, C>): PlainTarget<E, C> {
  const Target = ((given[0] as OwnTarget<E> | undefined)?.[ownTarget] ?? PlainTarget) as typeof PlainTarget<E, C>
  return new Target(...given)
}

/** What a plain target asks of its event store, and reports to the other contexts. */
export interface PlainPorts<E extends EventShape> {
  /** The event at a position. @throws InvalidArgumentError if there is none */
  event(position: number): Promise<RecordedEvent<E>>
  committed(position: number): void
  /** What a run in any context remembers is out of date. */
  changed(): void
  close(): void
}

/**
 * A plain projector as what the runner drives, and what an app may ask of it. Dead letters go to the checkpoint store
 * if it can keep them. Only this target knows of a pause and of a fault: a checkpoint store has no place for them.
 */
export class PlainTarget<E extends EventShape, C> implements ProjectionTarget<E>, ProjectionControls {
  readonly name: string
  readonly key: string
  readonly filter: EventFilter<E>
  readonly #projector: Projector<E, C>
  readonly #checkpoints: CheckpointStore
  readonly #eachEvent: boolean
  readonly #context: () => C
  readonly #store: PlainPorts<E> | undefined
  readonly #handlers = stackGuard()
  readonly #saving = storageErrors()
  /** The stored checkpoint. */
  #saved = 0
  /** Not saved yet. */
  #letters: DeadLetterRecord[] = []
  #paused = false
  #fault: StoredFault | undefined
  /** A rebuild was asked for since the run began. */
  #moved = false
  /** Replays under way, by position: two calls at once apply an event once. */
  readonly #replays = new Map<number, Promise<void>>()

  /** @throws InvalidArgumentError, InvalidNameError for what is not a projector */
  constructor(
    projector: Projector<E, C>,
    checkpoints: CheckpointStore,
    { context, checkpoint }: ProjectorOptions<C>,
    store?: PlainPorts<E>,
  ) {
    if (!isObject(projector) || typeof projector.apply !== 'function')
      throw new InvalidArgumentError(
        'projector',
        say`must be an object with name and apply, or come from defineProjection.`,
      )
    this.key = this.name = projectionName(projector.name)
    this.filter = projector.filter ?? {}
    this.#projector = projector
    this.#checkpoints = checkpoints
    this.#eachEvent = checkpoint === 'each-event'
    this.#store = store
    let made: { readonly value: C } | undefined
    this.#context = () =>
      (made ??= { value: (typeof context === 'function' ? (context as () => C)() : context) as C }).value
  }

  async onFailure(failure: FailureContext<E>): Promise<ReadModelFailureStrategy> {
    if (isForNewerBuilds(failure.error)) return 'fatal'
    const strategy = (await this.#projector.onFailure?.(failure)) ?? 'fatal'
    if ((strategy as string) === 'park-stream')
      throw new InvalidArgumentError('onFailure', say`returned 'park-stream', which is for read models. Return 'park'.`)
    return strategy
  }

  async begin(): Promise<ProjectionState> {
    this.#moved = false
    this.#saved = await this.#load()
    this.#letters = []
    this.#fault = undefined
    return { position: this.#saved, epoch: 0, owner: '', paused: this.#paused, letters: 0 }
  }

  apply(event: RecordedEvent<E>): void | Applying {
    return applying(this.#eachEvent ? this.#applyAndSave(event) : this.#call(event))
  }

  isStorageFailure(error: unknown): boolean {
    return this.#saving.has(error)
  }

  async recordFault(fault: StoredFault): Promise<FaultOutcome> {
    // Another run passed this one, or the end of the log was taken back, and the checkpoint with it.
    if (this.#moved || (await this.#load()) !== this.#saved) return 'moved'
    this.#fault = fault
    return 'stopped'
  }

  park(letter: DeadLetterRecord): void {
    this.#letters.push(letter)
  }

  async commit(position: number): Promise<CommitResult> {
    await this.#save(position)
    this.#store?.committed(position)
    return { paused: this.#paused }
  }

  reset(): void {
    this.#letters = []
  }

  async state(): Promise<ProjectionState> {
    // A store of the app may throw here: what was asked before would fail later, and nothing would wait for it.
    const count = async () => this.#checkpoints.countDeadLetters?.(this.name)
    const [position, letters = 0] = await Promise.all([this.#load(), count()])
    this.#passed(position)
    const fault = this.#fault
    return { position, epoch: 0, owner: '', paused: this.#paused, letters, ...(fault === undefined ? {} : { fault }) }
  }

  async setPaused(paused: boolean): Promise<void> {
    this.#paused = paused
    this.#store?.changed()
  }

  async rebuild(): Promise<void> {
    this.#fault = undefined
    await this.#checkpoints.save(this.name, 0, { dropDeadLetters: true })
    this.#moved = true
    this.#store?.changed()
  }

  async skip(position: number): Promise<void> {
    const stored = await this.#load()
    if (this.#fault?.position !== position || stored >= position) {
      throw new InvalidArgumentError(
        'position',
        say`is ${position}, but the projection is at ${stored} and did not stop there in this context. Read its status again.`,
      )
    }
    await this.#checkpoints.save(this.name, position, { expected: stored })
    this.#fault = undefined
    this.#store?.changed()
  }

  async deadLetters(after: number, limit: number): Promise<readonly DeadLetterRecord[]> {
    return (await this.#checkpoints.deadLetters?.(this.name, after, limit)) ?? []
  }

  replay(position: number): Promise<void> {
    const replay = this.#replays.get(position) ?? this.#replay(position).finally(() => this.#replays.delete(position))
    this.#replays.set(position, replay)
    return replay
  }

  async #replay(position: number): Promise<void> {
    if (this.#store === undefined)
      throw new InvalidArgumentError('deadLetter', say`cannot be replayed without an event store.`)
    this.#assertRemoves()
    const [letter] = await this.deadLetters(position - 1, 1)
    if (letter?.position !== position)
      throw new InvalidArgumentError('deadLetter', say`is not there any more: it was replayed or discarded already.`)
    await this.replayed(await this.#store.event(position))
    await this.discard(position)
  }

  /** Applies the event of a dead letter. */
  protected async replayed(event: RecordedEvent<E>): Promise<void> {
    await this.#call(event)
  }

  async discard(position: number): Promise<void> {
    this.#assertRemoves()
    await this.#checkpoints.removeDeadLetter?.(this.name, position)
    this.#store?.changed()
  }

  /** Before an event is applied again: its dead letter would stay, and be replayed once more. */
  #assertRemoves(): void {
    if (this.#checkpoints.removeDeadLetter === undefined)
      throw new InvalidArgumentError(
        'checkpoints',
        say`must have removeDeadLetter(), so that dead letters can be replayed and discarded.`,
      )
  }

  caller(): true | Invocation | undefined {
    return this.#handlers.caller()
  }

  close(): void {
    this.#store?.close()
  }

  #call(event: RecordedEvent<E>): void | Promise<void> {
    return guarded(this.#handlers, () => this.#projector.apply(event, this.#context()))
  }

  async #applyAndSave(event: RecordedEvent<E>): Promise<void> {
    await this.#call(event)
    await this.#saving.of(this.#save(event.position))
  }

  async #load(): Promise<number> {
    const stored: unknown = (await this.#checkpoints.load(this.name)) ?? 0
    if (Number.isSafeInteger(stored) && (stored as number) >= 0) return stored as number
    throw new LogInconsistentError(
      0,
      say`The stored checkpoint of '${this.name}' is ${describe(stored)}, which is not a position: it was damaged. Call rebuild(), or give the projector another name.`,
    )
  }

  async #save(position: number): Promise<void> {
    const deadLetters = this.#letters
    if (position === this.#saved && deadLetters.length === 0) return
    const options = { expected: this.#saved, ...(deadLetters.length === 0 ? {} : { deadLetters }) }
    await this.#checkpoints.save(this.name, position, options)
    this.#saved = position
    this.#letters = []
    this.#passed(position)
  }

  /** This context or another one came past what stopped the projector. */
  #passed(position: number): void {
    if (this.#fault !== undefined && this.#fault.position <= position) this.#fault = undefined
  }
}
