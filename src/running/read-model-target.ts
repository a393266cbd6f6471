/** A read model as what the runner drives, and as what an app may ask of it. */
import { InvalidArgumentError } from '../errors.js'
import { say } from '../messages.js'
import type { EventShape, RecordedEvent } from '../events/event.js'
import {
  applied,
  isForNewerBuilds,
  type DeadLetterRecord,
  type ProjectionControls,
  type ProjectionTarget,
} from '../projection/target.js'
import { projectionKey, type Projection } from '../read-model/define.js'
import { workingSlot, type StateRow } from '../read-model/state.js'
import type { ReadModelStorage } from '../read-model/storage.js'
import { UnitOfWork } from '../read-model/unit-of-work/unit-of-work.js'

/** How often a replay that raced with commits is tried. */
const maxReplays = 10

/** What a read model's target needs of its store. */
export interface TargetPorts<E extends EventShape> {
  /** The head of the log. */
  head(): Promise<number>
  /** The event at a position. @throws InvalidArgumentError if there is none */
  event(position: number): Promise<RecordedEvent<E>>
  /** Rows that readers see were changed. */
  committed(position: number, tables: readonly string[]): void
  /** What a runner in any context remembers is out of date. */
  changed(): void
}

/** A projection over the storage of its read model. Closing it closes the storage. */
export function readModelTarget<E extends EventShape>(
  definition: Projection<E>,
  storage: ReadModelStorage,
  ports: TargetPorts<E>,
): ProjectionTarget<E> & ProjectionControls {
  const work = new UnitOfWork(definition, storage)
  const allTables = Object.keys(definition.tables)
  let from: StateRow | undefined
  /** What is pending was dropped, so that a commit would move the checkpoint without its rows. */
  let dropped = true
  let letters: DeadLetterRecord[] = []
  let blockedStreams: ReadonlySet<string> | undefined
  /** The event that is applied alone, or was at last. */
  let alone: number | undefined
  const control = async (change: Promise<unknown>) => {
    await change
    ports.changed()
  }
  /** One after the other: side by side they would change each other's rows, and all but one begin again. */
  let replaying: Promise<unknown> = Promise.resolve()
  return {
    name: definition.name,
    key: projectionKey(definition),
    filter: definition.filter,
    onFailure: (failure) => (isForNewerBuilds(failure.error) ? 'fatal' : (definition.onFailure?.(failure) ?? 'fatal')),
    async begin(owner, signal) {
      const seen = await storage.state()
      from = await storage.begin({ owner, seen, head: await ports.head(), survived: alone, signal })
      alone = undefined
      // Where a letter is taken away meanwhile the epoch is raised, and the next commit refused.
      blockedStreams =
        (from.rebuild ?? from).holds === true ? await storage.blockedStreams(workingSlot(from)) : undefined
      if (from.position < seen.position) ports.committed(from.position, allTables)
      letters = []
      dropped = false
      work.reset(workingSlot(from), (from.rebuild?.position ?? from.position) === 0)
      return from
    },
    get blockedStreams() {
      return blockedStreams
    },
    prepare: (events) => work.prepare(events),
    get preparesMuch() {
      return work.preparedMuch
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
      // Also where it fails: it may be noted all the same (N4).
      alone = position ?? alone
      from = await storage.tries(from, position).catch((error: unknown) => {
        if ((error as { code?: string }).code === 'leadership-lost') alone = before
        throw error
      })
    },
    park: (letter) => void letters.push(letter),
    async commit(position, { caughtUp, ends }) {
      if (from === undefined || dropped) throw new InvalidArgumentError('commit', say`comes before begin.`)
      const before = from
      const rows = work.pending
      from = await storage.commit({ from, position, caughtUp, ends, rows, letters })
      letters = []
      work.committed()
      // Rows of a rebuild are nobody's to see before it is complete; then all of them are new.
      if (from.rebuild === undefined)
        ports.committed(from.position, before.rebuild === undefined ? [...rows.keys()] : allTables)
      return { paused: from.paused, deadLetterCount: from.letters }
    },
    reset() {
      letters = []
      dropped = true
      work.reset(0, false)
    },
    state: () => storage.state(),
    async recordFault(fault) {
      if (from === undefined) return 'stopped'
      const outcome = await storage.fault(from, fault, alone)
      ports.changed()
      return outcome
    },
    setPaused: (paused) => control(storage.setPaused(paused)),
    rebuild: () => control(storage.rebuild()),
    skip: (position) => control(storage.skip(position)),
    deadLetters: (after, limit) => storage.letters(after, limit),
    async replay(position) {
      const replay = replaying.then(async () => {
        const state = await replayLetter(definition, storage, await ports.event(position))
        ports.committed(state.position, state.tables)
        ports.changed()
      })
      replaying = replay.catch(() => {})
      return replay
    },
    async discard(position) {
      await storage.discardLetter(position)
      ports.committed((await storage.state()).position, [])
    },
    caller: () => work.caller(),
    close: () => storage.close(),
  }
}

/** Applies a parked event again and takes its letter away in the same transaction; the checkpoint stays. */
async function replayLetter<E extends EventShape>(
  definition: Projection<E>,
  storage: ReadModelStorage,
  event: RecordedEvent<E>,
) {
  for (let attempt = 1; ; attempt += 1) {
    const from = await storage.state()
    const work = new UnitOfWork(definition, storage, { remembersReads: true })
    work.reset(from.shown, false)
    await applied(work.apply(event))
    try {
      await storage.replay(from, work.read, work.pending, event.position)
      return { position: from.position, tables: [...work.pending.keys()] }
    } catch (error) {
      // The projection changed these rows in between.
      if ((error as { code?: string }).code !== 'leadership-lost' || attempt >= maxReplays) throw error
    }
  }
}
