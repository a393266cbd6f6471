/** Joins a projection to its store: the storage of its read model, and the ports that a run needs. */
import { InvalidArgumentError } from '../errors.js'
import { say } from '../messages.js'
import type { EventShape, RecordedEvent } from '../events/event.js'
import type { EventReader } from '../log/event-store.js'
import { storeInternals, type TidemarkStore } from '../log/open.js'
import type { Listeners } from '../platform/listeners.js'
import type { Clock } from '../platform/clock.js'
import type { OpenOptions } from '../platform/opening-tries.js'
import { pageLifecycle } from '../platform/page-lifecycle.js'
import type { ProjectorOptions } from '../projection/config.js'
import type { LeadershipHints } from '../projection/hand-over.js'
import type { Backend } from '../projection/leadership.js'
import { plainTarget } from '../projection/plain.js'
import type { Projector } from '../projection/projector.js'
import type { ProjectionControls, ProjectionState, ProjectionTarget } from '../projection/target.js'
import { committedHint, joinChanges, unknownCommit } from '../read-model/committed-hint.js'
import { isDefinition, projectionKey, type Projection } from '../read-model/define.js'
import type { StateRow } from '../read-model/state.js'
import type { ReadModelStorage } from '../read-model/storage.js'
import { useDefinition } from './definitions.js'
import { modelLookout, type Lookout } from './model-lookout.js'
import { readModelTarget, type TargetPorts } from './read-model-target.js'
import { openStorage } from './shared-storage.js'

/** A projection joined to its store. Closing the target releases everything. */
export interface Attached<E extends EventShape> {
  readonly target: ProjectionTarget<E> & ProjectionControls
  readonly backend: Backend<E>
  /** Calls back with the stored state, which is read at intervals. */
  watch(clock: Clock): Lookout<ProjectionState>
  /** The app calls: runs of this context that wait after a failure of the storage try again immediately. */
  retryNow(): void
}

/** Makes the checks that keep a context from leading. */
export type LeadCheck = (
  ports: Pick<TargetPorts<never>, 'head' | 'changed'> & { readonly storage: ReadModelStorage; readonly key: string },
) => {
  /** Comes before each try to lead: see `Backend.mayLead`. */
  mayLead(signal: AbortSignal): Promise<void>
  /** See `TargetPorts.check`. */
  check(before: StateRow): void
}

/**
 * Joins a projection to its store.
 *
 * @throws InvalidArgumentError, InvalidNameError synchronously for what is not a projector
 * @throws DefinitionChangedError if another definition of that name is in use in this context
 */
export function attach<E extends EventShape, C>(
  projector: Projection<E> | Projector<E, C>,
  store: TidemarkStore<E>,
  options: ProjectorOptions<C>,
  check?: LeadCheck,
): Promise<Attached<E>> {
  if (isDefinition(projector)) return attachModel(projector as unknown as Projection<E>, store, check)
  return attachPlain(projector as Projector<E, C>, store, options)
}

async function attachModel<E extends EventShape>(
  definition: Projection<E>,
  store: TidemarkStore<E>,
  check?: LeadCheck,
): Promise<Attached<E>> {
  const key = projectionKey(definition)
  const { storage, waiting, lookout } = await openStorage(store, definition)
  const { signals, logNow } = storeInternals(store)
  const ports = { head: () => store.head(), logNow, ...portsOf(store, () => key) }
  const checks = check?.({ ...ports, storage, key })
  const target = readModelTarget(definition, storage, {
    ...ports,
    check: checks?.check,
    committed(moved, changes) {
      const hint = committedHint(key, moved, changes)
      if (hint !== undefined) signals.post(hint, joinChanges)
    },
  })
  const joined = attached(
    store,
    target,
    waiting,
    (clock) => lookout(clock).watch,
    (how) => storage.open(how),
  )
  return checks === undefined ? joined : { ...joined, backend: { ...joined.backend, mayLead: checks.mayLead } }
}

/** Throws synchronously for what is not a projector. */
function attachPlain<E extends EventShape, C>(
  projector: Projector<E, C>,
  store: TidemarkStore<E>,
  options: ProjectorOptions<C>,
): Promise<Attached<E>> {
  let close = () => {}
  const { signals } = storeInternals(store)
  const ports = {
    ...portsOf(store, () => target.key),
    committed: (position: number) => signals.post(unknownCommit(target.key, position)),
    close: () => close(),
  }
  const target: Attached<E>['target'] = plainTarget(projector, store.checkpoints, options, ports)
  const join = async () => {
    const definition = projector as unknown as Projector<never>
    const { waiting, release } = useDefinition(store.name, storeInternals(store), definition)
    close = release
    return attached(store, target, waiting, (clock) => modelLookout(() => target.state(), clock))
  }
  return join()
}

/** What every target needs of its store. Each change of the state is posted to the other contexts. */
function portsOf<E extends EventShape>(
  store: TidemarkStore<E>,
  key: () => string,
): Pick<TargetPorts<E>, 'event' | 'changed'> {
  const { signals } = storeInternals(store)
  return {
    event: eventFinder(store),
    changed: () => signals.post({ kind: 'control', projection: key() }),
  }
}

/** The target with what a run needs of its store. */
function attached<E extends EventShape>(
  store: TidemarkStore<E>,
  target: Attached<E>['target'],
  waiting: Listeners<[]>,
  watch: Attached<E>['watch'],
  openRows?: (how: OpenOptions) => Promise<unknown>,
): Attached<E> {
  const parts = storeInternals(store)
  const { signals } = parts
  const { key } = target
  const hints: LeadershipHints = {
    post: (kind) => signals.post({ kind, projection: key }),
    listen: (listener) =>
      signals.listen((hint) => {
        if ((hint.kind === 'hidden-leader' || hint.kind === 'candidate') && hint.projection === key) listener(hint.kind)
      }),
  }
  const backend: Backend<E> = {
    reader: store,
    coordinator: store.coordinator,
    lifecycle: pageLifecycle(),
    hints,
    told: (report) => parts.tap.pass(report),
    onStorage: parts.medium === 'indexeddb' ? parts.onStorage : undefined,
    onControl: (listener) =>
      signals.listen((hint) => {
        if (hint.kind === 'control' && hint.projection === key) listener()
      }),
    onHint: (listener) =>
      signals.listen((hint) => {
        if (hint.kind === 'head') listener(hint.head)
      }),
    reopen: (how) => Promise.all([parts.medium === 'indexeddb' && parts.connection.open(how), openRows?.(how)]),
    onRetryNow: waiting.add,
  }
  return { target, backend, watch, retryNow: waiting.tell }
}

/** Finds one event. The result rejects with InvalidArgumentError if it is not in the log. */
function eventFinder<E extends EventShape>(reader: EventReader<E>): (position: number) => Promise<RecordedEvent<E>> {
  return async (position) => {
    const { events } = await reader.readPage({ after: position - 1, limit: 1 })
    const event = events[0]
    if (event === undefined || event.position !== position)
      throw new InvalidArgumentError('letter', say`names an event that is not in the log.`)
    return event
  }
}
