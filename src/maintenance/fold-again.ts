/** The rows that the events make, folded once more in memory. */
import { InvalidArgumentError, messageOf, TidemarkError } from '../errors.js'
import { say } from '../messages.js'
import type { EventShape, RecordedEvent } from '../events/event.js'
import type { EventReader } from '../log/event-store.js'
import { storageError } from '../platform/indexeddb.js'
import { newRun } from '../projection/batching.js'
import { settle } from '../projection/config.js'
import { runMachine } from '../projection/runner.js'
import type {
  DeadLetterRecord,
  FailureContext,
  ProjectionTarget,
  ReadModelFailureStrategy,
} from '../projection/target.js'
import type { Projection } from '../read-model/define.js'
import { MemoryReadModels } from '../read-model/memory/memory-storage.js'
import type { RowChanges, StateRow } from '../read-model/state.js'
import { readModelTarget } from '../running/read-model-target.js'
import type { Findings } from './read-model-defects.js'

/**
 * How many retries a policy may ask for before an event counts as failing for good; they follow each other without a
 * pause.
 */
const maxRetries = 20

/** Folds what the stored rows were folded from. */
export async function foldAgain<E extends EventShape>(
  definition: Projection<E>,
  store: EventReader<E>,
  state: StateRow,
  letters: ReadonlyMap<number, DeadLetterRecord>,
  found: Findings,
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<string, readonly unknown[]>> {
  const models = new MemoryReadModels()
  const storage = models.open(definition as unknown as Projection, state.log)
  const { commit } = storage
  storage.commit = async (change) => commit.call(storage, { ...change, rows: asStored(change.rows) })
  const target = readModelTarget(definition, storage, {
    head: async () => state.position,
    event: () => Promise.reject(new InvalidArgumentError('letter', say`is not replayed.`)),
    committed: () => {},
    changed: () => {},
  })
  const unseen = new Set(letters.keys())
  const again = leavingOut(definition, target, state, letters, found, ({ position, id }) => {
    if (!unseen.delete(position)) return
    const named = (letters.get(position) as DeadLetterRecord).eventId
    if (named !== id)
      found.add({
        kind: 'letter',
        position,
        message: say`The dead letter for position ${position} is for the event '${named}', and the log has '${id}' there.`,
      })
  })
  const run = newRun()
  // Not up to the head: what comes after the checkpoint is not in the rows.
  run.goal = state.position
  const settings = settle({ retry: { maxRetries, delay: 0 } }, 'batch')
  try {
    const reader: EventReader<E> = { readPage: (...asked) => store.readPage(...asked) }
    await runMachine(
      { target: again, ports: { reader }, settings, owner: '', run, report: () => {} },
      signal ?? new AbortController().signal,
    )
  } catch (error) {
    const { cause } = error as { cause?: unknown }
    throw cause instanceof TidemarkError ? cause : error
  }
  for (const position of signal?.aborted === true ? [] : unseen) {
    found.add({
      kind: 'letter',
      position,
      message: say`A dead letter is for position ${position}, where the log has no event for this projection.`,
    })
  }
  return (await models.stored(definition as unknown as Projection))?.rows ?? new Map()
}

/** What the policy says of a failure; one that throws ends a run. */
async function decided<E extends EventShape>(
  definition: Projection<E>,
  failure: FailureContext<E>,
): Promise<ReadModelFailureStrategy | undefined> {
  try {
    return await definition.onFailure?.(failure)
  } catch {
    return undefined
  }
}

/** Leaves out the events that the stored rows leave out. `see` is called with each event. */
function leavingOut<E extends EventShape>(
  definition: Projection<E>,
  target: ProjectionTarget<E>,
  { skipped = [], carried = [] }: StateRow,
  letters: ReadonlyMap<number, unknown>,
  found: Findings,
  see: (event: RecordedEvent<E>) => void,
): ProjectionTarget<E> {
  const leftOut = new Set([...letters.keys(), ...skipped])
  return {
    ...target,
    apply(event) {
      see(event)
      if (!leftOut.has(event.position)) return target.apply(event)
    },
    async onFailure(failure) {
      const { event, position, retryCount } = failure
      // Also for one that cannot be read, and so is never applied.
      see(event)
      if (leftOut.has(position) || carried.includes(position)) return 'skip'
      const strategy = await decided(definition, failure)
      if (strategy === 'retry' && retryCount < maxRetries) return 'retry'
      if (strategy !== 'skip' && strategy !== 'park' && strategy !== 'park-stream') {
        const reason = messageOf(failure.error)
        found.add({
          kind: 'event',
          position,
          message: say`The event at position ${position} fails for good (${reason}), and the projection went past it.`,
        })
      }
      return 'skip'
    },
  }
}

/** Rows as a database would keep them; one that it would refuse fails here as there. */
function asStored(changes: RowChanges): RowChanges {
  try {
    return new Map(
      [...changes].map(([table, rows]) => [
        table,
        new Map([...rows].map(([mapKey, { key, row }]) => [mapKey, { key, row: structuredClone(row) }])),
      ]),
    )
  } catch (error) {
    throw storageError(error, say`folding again`)
  }
}
