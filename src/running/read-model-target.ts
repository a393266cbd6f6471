/** A read model as what the runner drives, and as what an app may ask of it. */
import { hasCode, InvalidArgumentError, LeadershipLostError } from '../errors.js'
import type { EventShape, RecordedEvent } from '../events/event.js'
import {
  applied,
  isForNewerBuilds,
  type DeadLetterRecord,
  type ProjectionControls,
  type ProjectionTarget,
} from '../projection/target.js'
import { projectionKey, type Projection } from '../read-model/define.js'
import { begin, readBlockedStreams } from '../read-model/begin.js'
import { changesOf, type Changes, type LazyChanges } from '../read-model/changes.js'
import type { Asked } from '../read-model/dead-letters.js'
import {
  faulted,
  faultOutcome,
  pausedOrNot,
  rebuildStarted,
  skipped,
  tried,
  workingSlot,
  type LogNow,
  type StateRow,
  type Transition,
} from '../read-model/state.js'
import { rowSource, type Moved, type ReadModelStorage } from '../read-model/storage.js'
import { UnitOfWork } from '../read-model/unit-of-work/unit-of-work.js'
import { say } from '../messages.js'

/** How often a replay that raced with commits is tried. */
const maxReplays = 10

/** What a read model's target needs of its store. */
export interface TargetPorts<E extends EventShape> {
  /** The head of the log. */
  head(): Promise<number>
  /** The event at a position. @throws InvalidArgumentError if there is none */
  event(position: number): Promise<RecordedEvent<E>>
  /** A transaction changed the state: readers may see something else. */
  committed(moved: Moved, changes: Changes | LazyChanges): void
  /** What a runner in any context remembers is out of date. */
  changed(): void
  /** Of a log whose tail may be taken back: what it is now, compared with one of that id. */
  readonly logNow?: ((than: string) => Promise<LogNow>) | undefined
  /** Throws if this context must not take over a read model in such a state. @default it may */
  readonly check?: ((before: StateRow) => void) | undefined
}

/** A projection over the storage of its read model. Closing it closes the storage. */
export function readModelTarget<E extends EventShape>(
  definition: Projection<E>,
  storage: ReadModelStorage,
  ports: TargetPorts<E>,
): ProjectionTarget<E> & ProjectionControls {
  const key = projectionKey(definition)
  const work = new UnitOfWork(definition, rowSource(storage, 0))
  let from: StateRow | undefined
  /** What is pending was dropped, so that a commit would move the checkpoint without its rows. */
  let dropped = true
  let letters: DeadLetterRecord[] = []
  let blockedStreams: ReadonlySet<string> | undefined
  /** The event that is applied alone, or was at last. */
  let alone: number | undefined
  let now: LogNow | undefined
  return {
    ...controlsOf(definition, storage, ports),
    name: definition.name,
    key,
    filter: definition.filter,
    onFailure: (failure) => (isForNewerBuilds(failure.error) ? 'fatal' : (definition.onFailure?.(failure) ?? 'fatal')),
    async begin(owner, signal) {
      const seen = await storage.state()
      const how = { owner, seen, head: await ports.head(), survived: alone, signal }
      now = await ports.logNow?.(seen.log)
      const begun = await begin(storage, definition, { ...how, now }, ports.check)
      from = begun.after
      alone = undefined
      // If a dead letter is removed meanwhile the epoch is raised, and the next commit refused.
      blockedStreams =
        (from.rebuild ?? from).holds === true ? await readBlockedStreams(storage, workingSlot(from)) : undefined
      ports.committed(begun, 'unknown')
      letters = []
      dropped = false
      work.reset(rowSource(storage, workingSlot(from)), (from.rebuild?.position ?? from.position) === 0)
      return from
    },
    get blockedStreams() {
      return blockedStreams
    },
    prepare: (events) => work.prepare(events),
    get preparesMuch() {
      return work.preparedMuch
    },
    get pendingRows() {
      return work.pendingRows
    },
    get wantsPreparing() {
      return work.wantsPreparing
    },
    apply: (event) => work.apply(event),
    isStorageFailure: (error) => work.isStorageFailure(error),
    async tries(position) {
      if (from === undefined || (dropped && position !== undefined))
        throw new InvalidArgumentError('tries', say`comes before begin.`)
      const before = alone
      // Also if it fails: it may be stored all the same (N4).
      alone = position ?? alone
      const was = from
      const moving = storage.move(say`noting an event of`, (now) => ({ after: tried(key, now, was, position) }))
      const { after } = await moving.catch((error: unknown) => {
        if (hasCode(error, 'leadership-lost')) alone = before
        throw error
      })
      from = after
    },
    park: (letter) => void letters.push(letter),
    async commit(position, { caughtUp, ends }) {
      if (from === undefined || dropped) throw new InvalidArgumentError('commit', say`comes before begin.`)
      if (!(await isSameLog(now, ports))) throw new LeadershipLostError(key, say`the end of the log was taken back.`)
      const rows = work.pending
      const moved = await storage.commit({ from, position, caughtUp, ends, rows, letters })
      const { before, after } = moved
      from = after
      letters = []
      work.committed(caughtUp)
      // Readers see no row of a rebuild before it is complete; then all of them are new.
      if (after.rebuild === undefined)
        ports.committed(moved, before.rebuild === undefined ? changesOf(definition.tables, rows) : 'unknown')
      return { paused: from.paused, deadLetterCount: from.letters }
    },
    rest: () => work.rest(),
    reset() {
      letters = []
      dropped = true
      work.reset()
    },
    async recordFault(fault) {
      if (from === undefined) return 'stopped'
      if (!(await isSameLog(now, ports))) return 'moved'
      const [was, survived] = [from, alone]
      const { after } = await storage.move(say`recording a failure of`, (before) =>
        faulted(before, was, fault, survived),
      )
      ports.changed()
      return faultOutcome(after, fault)
    },
    caller: () => work.caller(),
  }
}

/**
 * What was read since `now`, rows among it, may belong to another log: then a run has nothing to commit, and what it
 * failed at means nothing.
 */
const isSameLog = async (now: LogNow | undefined, { logNow }: Pick<TargetPorts<never>, 'logNow'>): Promise<boolean> =>
  now === undefined || (await logNow?.(now.id))?.id === now.id

/** What any context may ask, whether it runs the projection or not. */
function controlsOf<E extends EventShape>(
  definition: Projection<E>,
  storage: ReadModelStorage,
  ports: TargetPorts<E>,
): Omit<ProjectionControls, 'caller'> {
  const control = async (what: string, change: (before: StateRow) => Transition) => {
    ports.committed(await storage.move(what, change), new Map())
    ports.changed()
  }
  /** One after the other: in parallel they would change each other's rows, and all but one would be repeated. */
  let replaying: Promise<unknown> = Promise.resolve()
  return {
    state: () => storage.state(),
    setPaused: (paused) =>
      control(paused ? say`pausing` : say`resuming`, (before) => ({ after: pausedOrNot(before, paused) })),
    rebuild: () => control(say`rebuilding`, rebuildStarted),
    skip: (position) =>
      control(say`skipping an event of`, (before) => ({ after: skipped(before, position), shows: true })),
    deadLetters: (after, limit) => storage.letters(after, limit),
    replay(position) {
      const replay = replaying.then(async () => {
        const [moved, changes] = await replayLetter(definition, storage, await ports.event(position))
        ports.committed(moved, changes)
        ports.changed()
      })
      replaying = replay.catch(() => {})
      return replay
    },
    async discard(position) {
      await storage.removeDeadLetter(position)
      ports.changed()
    },
    close: () => storage.close(),
  }
}

/** Applies a parked event again and removes its dead letter in the same transaction; the checkpoint stays. */
async function replayLetter<E extends EventShape>(
  definition: Projection<E>,
  storage: ReadModelStorage,
  event: RecordedEvent<E>,
): Promise<readonly [Moved, LazyChanges]> {
  for (let attempt = 1; ; attempt += 1) {
    const from = await storage.state()
    const read: Asked[] = []
    const work = new UnitOfWork(definition, rowSource(storage, from.shown), read)
    await applied(work.apply(event))
    try {
      const moved = await storage.removeDeadLetter(event.position, { from, read, rows: work.pending })
      return [moved, changesOf(definition.tables, work.pending)]
    } catch (error) {
      // The projection changed these rows in between.
      if (!hasCode(error, 'leadership-lost') || attempt >= maxReplays) throw error
    }
  }
}
