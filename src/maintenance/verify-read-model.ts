/** Looking for damage in a read model: what is stored against the same events, folded once more in memory. */
import { describe, InvalidArgumentError, messageOf, TidemarkError } from '../errors.js'
import { notice, say } from '../messages.js'
import type { EventShape } from '../events/event.js'
import type { FitsStore, Reads } from '../events/fits.js'
import type { EventReader, ReadOptions } from '../log/event-store.js'
import { storeInternals, type StoreInternals, type TidemarkStore } from '../log/open.js'
import { assertSignal, onlyKnown } from '../platform/arguments.js'
import { storageError } from '../platform/indexeddb.js'
import { nextTask } from '../platform/tasks.js'
import { settle } from '../projection/config.js'
import { newRun } from '../projection/batching.js'
import { runMachine } from '../projection/runner.js'
import type { DeadLetterRecord, ProjectionTarget } from '../projection/target.js'
import { isDefinition, projectionKey, type Projection, type Tables } from '../read-model/define.js'
import { useDefinition } from '../running/definitions.js'
import { sameStored } from '../read-model/equal.js'
import { handledBy, isFingerprintOf } from '../read-model/fingerprint.js'
import { compareKeys, mapKeyOf, type RowKey, type MapKey } from '../read-model/keys.js'
import { MemoryReadModels } from '../read-model/memory/memory-storage.js'
import { countedRows } from '../read-model/row-counts.js'
import { takeSnapshot, type Snapshot } from './snapshot.js'
import { impossibleIn, isWhole } from '../read-model/possible-state.js'
import type { RowChanges, StateRow } from '../read-model/state.js'
import { readModelTarget } from '../running/read-model-target.js'

/** What can be wrong with a read model. */
export type ReadModelDefectKind =
  /** An object store or an index is missing, or a record is not a list of rows. */
  | 'structure'
  /** The row that says how far the rows are is missing, or does not say it. */
  | 'state'
  /** The rows were made with other tables, or from other types of events, than those declared. */
  | 'tables'
  /** The rows were folded from another log than the store's. */
  | 'log'
  /** The checkpoint lies beyond the head of the log. */
  | 'checkpoint'
  /** A dead letter is malformed, or names an event that the projection has not reached; or there are more or fewer of them than the state says. */
  | 'letter'
  /** The projection went past an event that fails for good now, although it was neither parked nor skipped. */
  | 'event'
  /** A row is not what the events make of it. */
  | 'wrong-row'
  /** A row that the events make is not there. */
  | 'missing-row'
  /** A row is there that the events do not make. */
  | 'unexpected-row'

/** One thing that is wrong with a read model. */
export interface ReadModelDefect {
  readonly kind: ReadModelDefectKind
  /** Of the event or checkpoint, if it is about one. */
  readonly position?: number
  /** The table of a row. */
  readonly table?: string
  /** The key of a row: that of its table, or, in a row edited by hand, whatever is stored there. */
  readonly key?: unknown
  readonly message: string
}

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

/** More defects than these are counted, not listed. */
const maxListed = 1000
/** How many retries a policy may ask for before an event counts as failing for good; they follow each other without a pause. */
const maxRetries = 20
/** How many rows are compared in one task. */
const rowsPerTurn = 500

/**
 * Compares a read model with its log: folds the events up to the stored checkpoint once more, in memory, and names each row,
 * dead letter and entry of the state that is not as it should be. Changes nothing that is stored, neither does it take part in
 * leadership: the projection may run on meanwhile, as everything that is stored is read in one transaction. A projection that
 * never ran has no rows, and nothing wrong with them. What is wrong goes away with `ProjectionHandle.rebuild`.
 *
 * The rows that are stored and those that are folded are in memory together until it is done. Handlers are called again for
 * every event, and `onFailure` for those that fail.
 *
 * Events whose dead letters wait and those that were left out with `skip` (the last thousand) are left out of the fold as well, and
 * those that were so in an earlier version where they fail; one that fails now under the policy `'skip'` or `'park'` is taken for
 * one that failed then. So a model differs without having been edited if its handlers
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
  return report(state.position, await compare(erased, snapshot, folded, found, signal))
}

class Findings {
  readonly defects: ReadModelDefect[] = []
  unlisted = 0

  add(defect: ReadModelDefect): void {
    if (this.defects.length < maxListed) this.defects.push({ ...defect, message: notice(defect.kind, defect.message) })
    else this.unlisted += 1
  }
}

/** The state, if it says enough to continue. */
function checkState(
  { state: row, missing }: Snapshot,
  log: string,
  head: number,
  definition: Projection,
  found: Findings,
): StateRow | undefined {
  if (row === undefined) {
    // Its object store is named already.
    if (missing.length === 0)
      found.add({ kind: 'state', message: say`The row that says how far the rows are is missing.` })
    return undefined
  }
  const wrong = impossibleIn(row)
  for (const message of wrong) found.add({ kind: 'state', message })
  if (wrong.length > 0) return undefined
  const sound = row as StateRow
  if (!isFingerprintOf(definition, sound.fingerprint)) {
    found.add({
      kind: 'tables',
      message: say`The rows were made with other tables than those declared. Raise 'version' in defineProjection.`,
    })
    return undefined
  }
  if ((sound.handles ?? handledBy(definition)) !== handledBy(definition)) {
    found.add({
      kind: 'tables',
      message: say`The rows were made from other events (${sound.handles}) than those declared. Raise 'version' in defineProjection.`,
    })
    return undefined
  }
  if (sound.log !== log) {
    found.add({
      kind: 'log',
      position: sound.position,
      message: say`The rows were folded from another log. They are deleted, and folded again, when the projection is run.`,
    })
    return undefined
  }
  for (const [what, position] of [
    ['checkpoint', sound.position],
    [say`checkpoint of the rebuild`, sound.rebuild?.position ?? 0],
  ] as const) {
    if (position > head)
      found.add({
        kind: 'checkpoint',
        position,
        message: say`The ${what} is ${position}, beyond the head ${head}. All rows are deleted, and folded again, when the projection is run.`,
      })
  }
  return sound
}

/** The dead letters that are well-formed, by position. */
function checkLetters(
  rows: readonly unknown[],
  state: StateRow,
  found: Findings,
): ReadonlyMap<number, DeadLetterRecord> {
  const letters = new Map<number, DeadLetterRecord>()
  for (const row of rows) {
    const { position, eventId, eventType, stream } = row as Partial<Record<keyof DeadLetterRecord, unknown>>
    if (!isWhole(position) || position === 0)
      found.add({ kind: 'letter', message: say`A dead letter is for ${describe(position)}, which is not a position.` })
    else if (position > state.position)
      found.add({
        kind: 'letter',
        position,
        message: say`A dead letter is for position ${position}, beyond the checkpoint ${state.position}.`,
      })
    else if (typeof eventId !== 'string' || typeof eventType !== 'string' || typeof stream !== 'string') {
      found.add({
        kind: 'letter',
        position,
        message: say`The dead letter for position ${position} does not name its event.`,
      })
    } else letters.set(position, row as DeadLetterRecord)
  }
  if (rows.length !== state.letters)
    found.add({
      kind: 'letter',
      message: say`The state says that ${state.letters} dead letters wait, and there are ${rows.length}.`,
    })
  return letters
}

/** Folds what the stored rows were folded from. */
async function foldAgain<E extends EventShape>(
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
  const leftOut = new Set([...letters.keys(), ...(state.skipped ?? [])])
  const carried = new Set(state.carried)
  const unseen = new Set(letters.keys())
  const see = ({ position, id }: { readonly position: number; readonly id: string }) => {
    if (!unseen.delete(position)) return
    const named = (letters.get(position) as DeadLetterRecord).eventId
    if (named !== id)
      found.add({
        kind: 'letter',
        position,
        message: say`The dead letter for position ${position} is for the event '${named}', and the log has '${id}' there.`,
      })
  }
  const again: ProjectionTarget<E> = {
    ...target,
    apply(event) {
      see(event)
      if (!leftOut.has(event.position)) return target.apply(event)
    },
    async onFailure(failure) {
      const { event, position, retryCount } = failure
      // Also for one that cannot be read, and so is never applied.
      see(event)
      if (leftOut.has(position) || carried.has(position)) return 'skip'
      const strategy = await Promise.resolve(definition.onFailure?.(failure) ?? 'fatal').catch(() => 'fatal')
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
  return models.stored(projectionKey(definition))?.rows ?? new Map()
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

/** Compares row by row. Returns how many stored rows there are. */
async function compare(
  definition: Projection,
  snapshot: Snapshot,
  folded: ReadonlyMap<string, readonly unknown[]>,
  found: Findings,
  signal: AbortSignal | undefined,
): Promise<number> {
  let compared = 0
  for (const [table, { key: name }] of Object.entries(definition.tables)) {
    const stored = snapshot.rows.get(table)
    if (stored === undefined) continue
    const keyOf = (row: unknown) => (row as Record<string, unknown>)[name]
    const wanted = new Map<MapKey, unknown>(
      (folded.get(table) ?? []).map((row) => [mapKeyOf(keyOf(row) as RowKey), row]),
    )
    const count = snapshot.packed.includes(table) ? countedRows(snapshot.state as StateRow, table) : undefined
    if (count !== undefined && count !== stored.length && count !== wanted.size) {
      found.add({
        kind: 'state',
        table,
        message: say`The state says that table '${table}' has ${count} rows, and there are ${stored.length}.`,
      })
    }
    for (const row of stored) {
      const key = keyOf(row)
      const mapKey = mapKeyOf(key as RowKey)
      const at = { table, key }
      if (!wanted.has(mapKey))
        found.add({
          kind: 'unexpected-row',
          ...at,
          message: say`Table '${table}' has a row ${describe(key)} that the events do not make.`,
        })
      else if (!sameStored(wanted.get(mapKey), row))
        found.add({
          kind: 'wrong-row',
          ...at,
          message: say`The row ${describe(key)} of table '${table}' is not what the events make of it.`,
        })
      wanted.delete(mapKey)
      compared += 1
      if (compared % rowsPerTurn === 0) {
        await nextTask()
        signal?.throwIfAborted()
      }
    }
    const missing = [...wanted.values()].map(keyOf).sort(compareKeys)
    for (const key of missing)
      found.add({
        kind: 'missing-row',
        table,
        key,
        message: say`Table '${table}' lacks the row ${describe(key)} that the events make.`,
      })
  }
  return compared
}
