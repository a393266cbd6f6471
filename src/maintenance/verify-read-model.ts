/** Looking for damage in a read model: what is stored is compared with the same events, folded once more in memory. */
import { InvalidArgumentError } from '../errors.js'
import { say } from '../messages.js'
import type { EventShape } from '../events/event.js'
import type { FitsStore, Reads } from '../events/fits.js'
import type { ReadOptions } from '../log/event-store.js'
import { storeInternals, type StoreInternals, type TidemarkStore } from '../log/open.js'
import { assertSignal, onlyKnown } from '../platform/arguments.js'
import { isDefinition, type Projection, type Tables } from '../read-model/define.js'
import { useDefinition } from '../running/definitions.js'
import { checkLetters, checkState } from './check-state.js'
import { compareRows } from './compare-rows.js'
import { foldAgain } from './fold-again.js'
import { Findings, type ReadModelDefect } from './read-model-defects.js'
import { takeSnapshot } from './take-snapshot.js'

/** What `verifyReadModel` found. */
export interface ReadModelVerificationResult {
  /** Nothing is wrong. */
  readonly ok: boolean
  /** The checkpoint: the rows were compared with a fold of the events up to it. 0 if it is not known. */
  readonly position: number
  /** The last position in the log. */
  readonly head: number
  /** How many stored rows were compared. */
  readonly rows: number
  /** 1,000 at most. */
  readonly defects: readonly ReadModelDefect[]
  /** How many more there are. */
  readonly unlisted: number
}

/**
 * Compares a read model with its log: folds the events up to the stored checkpoint once more, in memory, and names each
 * row, dead letter and entry of the state that is not as it should be. Changes nothing that is stored, neither does it
 * take part in leadership: the projection may run on meanwhile, as everything that is stored is read in one
 * transaction. A projection that never ran has no rows, and nothing wrong with them. What is wrong goes away with
 * `ProjectionHandle.rebuild`.
 *
 * The rows that are stored and those that are folded are in memory together until it is done. Handlers are called again
 * for every event, and `onFailure` for those that fail.
 *
 * Events whose dead letters wait and those that were left out with `skip` (the last thousand) are left out of the fold
 * as well, and those that were so in an earlier version where they fail; one that fails now under the policy `'skip'`
 * or `'park'` is taken for one that failed then. So a model differs without having been edited if its handlers
 * - are not deterministic: they use the time, chance, or something that they fetch;
 * - were changed since, and `version` was not raised;
 * - depend on the order of events, and a dead letter was replayed after later events;
 * - do not fail any more at an event whose dead letter was discarded.
 *
 * It finds accidents and clumsy edits. Any code of this origin can change log and rows so that nothing shows.
 *
 * @param projection what `defineProjection` returned
 * @param options `signal` ends it: it rejects with the signal's reason
 * @throws InvalidArgumentError for what is not a store or a projection
 * @throws DefinitionChangedError if another definition of that name is in use in this context
 * @throws LogInconsistentError, StorageFailedError and their like if the log cannot be read: see `verifyEventStore`
 * @throws UnsupportedFormatError if a newer tidemark wrote the read model
 *
 * @example
 * const { ok, defects } = await verifyReadModel(store, balances)
 * if (!ok) await projection.rebuild()
 */
export async function verifyReadModel<E extends EventShape, T extends Tables>(
  store: TidemarkStore<E>,
  projection: Projection<E, T>,
  options?: ReadOptions,
): Promise<ReadModelVerificationResult>
/** The same, for a definition that is typed by its own events: see `FitsStore`. */
export async function verifyReadModel<
  E extends EventShape,
  T extends Tables,
  Own extends EventShape = E,
  R extends Reads = Reads,
>(
  store: TidemarkStore<E>,
  projection: Projection<Own, T, R> & FitsStore<E, Own, R>,
  options?: ReadOptions,
): Promise<ReadModelVerificationResult>
export async function verifyReadModel<E extends EventShape, T extends Tables>(
  store: TidemarkStore<E>,
  projection: Projection<E, T>,
  options: ReadOptions = {},
): Promise<ReadModelVerificationResult> {
  onlyKnown(options, ['signal'])
  const { signal } = options
  assertSignal(signal)
  const parts = storeInternals(store)
  if (!isDefinition(projection)) throw new InvalidArgumentError('projection', say`must come from defineProjection.`)
  const definition = projection as unknown as Projection<E>
  const erased = definition as unknown as Projection
  signal?.throwIfAborted()
  const { release } = useDefinition(store.name, parts, erased)
  try {
    return await verified(store, parts, definition, signal)
  } finally {
    release()
  }
}

async function verified<E extends EventShape>(
  store: TidemarkStore<E>,
  parts: StoreInternals,
  definition: Projection<E>,
  signal: AbortSignal | undefined,
): Promise<ReadModelVerificationResult> {
  const erased = definition as unknown as Projection
  const log = await parts.logId()
  const snapshot = await takeSnapshot(store.name, parts, erased)
  // After the rows: they can only be behind it.
  const head = await store.head()
  const found = new Findings()
  const report = (position: number, rows: number): ReadModelVerificationResult => ({
    ok: found.defects.length === 0,
    position,
    head,
    rows,
    defects: found.defects,
    unlisted: found.unlisted,
  })
  if (snapshot === undefined) return report(0, 0)
  for (const part of snapshot.missing)
    found.add({
      kind: 'structure',
      message: say`The database lacks its ${part}. It is made again, empty, when the projection is run.`,
    })
  for (const { table, message } of snapshot.misplaced)
    found.add({ kind: 'structure', table, message: say`${message} Rebuild the projection.` })
  const state = checkState(snapshot, log, head, erased, found)
  if (state === undefined) return report(0, 0)
  if (state.position > head) return report(state.position, 0)
  const letters = checkLetters(snapshot.letters, state, found)
  const folded = await foldAgain(definition, store, state, letters, found, signal)
  signal?.throwIfAborted()
  return report(state.position, await compareRows(erased, snapshot, folded, found, signal))
}
